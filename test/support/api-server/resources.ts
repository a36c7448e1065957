/** A Kubernetes object as JSON, with what every object has. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    uid?: string;
    resourceVersion?: string;
    creationTimestamp?: string;
    deletionTimestamp?: string;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

export interface Resource {
  plural: string;
  kind: string;
  /** v1, discovery.k8s.io/v1 */
  apiVersion: string;
  /** /api/v1, /apis/discovery.k8s.io/v1 */
  root: string;
  namespaced: boolean;
}

const core = { apiVersion: 'v1', root: '/api/v1' };
const networking = { apiVersion: 'networking.k8s.io/v1', root: '/apis/networking.k8s.io/v1' };
const events = { apiVersion: 'events.k8s.io/v1', root: '/apis/events.k8s.io/v1' };
const discovery = { apiVersion: 'discovery.k8s.io/v1', root: '/apis/discovery.k8s.io/v1' };

export const resources: readonly Resource[] = [
  { plural: 'services', kind: 'Service', namespaced: true, ...core },
  { plural: 'endpoints', kind: 'Endpoints', namespaced: true, ...core },
  { plural: 'pods', kind: 'Pod', namespaced: true, ...core },
  { plural: 'nodes', kind: 'Node', namespaced: false, ...core },
  { plural: 'namespaces', kind: 'Namespace', namespaced: false, ...core },
  { plural: 'endpointslices', kind: 'EndpointSlice', namespaced: true, ...discovery },
  { plural: 'events', kind: 'Event', namespaced: true, ...events },
  { plural: 'servicecidrs', kind: 'ServiceCIDR', namespaced: false, ...networking },
];

export function resourceOfKind(kind: string): Resource {
  const resource = resources.find((each) => each.kind === kind);
  if (resource === undefined) throw new Error(`the test API server has no kind ${kind}`);
  return resource;
}

export interface Target {
  resource: Resource;
  namespace?: string;
  name?: string;
}

/** `/api/v1/namespaces/default/services/web` -> resource, namespace and name; undefined for any other path. */
export function parsePath(path: string): Target | undefined {
  for (const resource of resources) {
    if (!path.startsWith(`${resource.root}/`)) continue;
    const parts = path
      .slice(resource.root.length + 1)
      .split('/')
      .map(decodeURIComponent);
    if (parts[0] === resource.plural && parts.length <= (resource.namespaced ? 1 : 2)) {
      return parts[1] ? { resource, name: parts[1] } : { resource };
    }
    if (
      resource.namespaced &&
      parts[0] === 'namespaces' &&
      parts[2] === resource.plural &&
      parts.length <= 4
    ) {
      const namespace = parts[1] ?? '';
      return parts[3] ? { resource, namespace, name: parts[3] } : { resource, namespace };
    }
  }
  return undefined;
}
