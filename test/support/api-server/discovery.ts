import { resources } from './resources.js';

/** Enough of the discovery documents for kubectl get, create, replace and delete; undefined for any other path. */
export function discoveryDocument(path: string): object | undefined {
  if (path === '/version') return { major: '1', minor: '34', gitVersion: 'v1.34.0-shunt-test' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis') {
    const versions = [...new Set(resources.map(({ apiVersion }) => apiVersion))]
      .filter((text) => text.includes('/'))
      .map((groupVersion) => ({ groupVersion, version: 'v1' }));
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: versions.map((version) => ({
        name: version.groupVersion.split('/')[0],
        versions: [version],
        preferredVersion: version,
      })),
    };
  }
  const inGroup = resources.filter((each) => each.root === path);
  if (inGroup.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: inGroup[0]?.apiVersion,
    resources: inGroup.map(({ plural, kind, namespaced }) => ({
      name: plural,
      singularName: kind.toLowerCase(),
      namespaced,
      kind,
      verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
    })),
  };
}
