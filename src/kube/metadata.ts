import type { Field } from './fields.js';

export const LABEL_PROXY_NAME = 'service.kubernetes.io/service-proxy-name';
export const LABEL_HEADLESS = 'service.kubernetes.io/headless';
export const LABEL_SERVICE_NAME = 'kubernetes.io/service-name';
export const LABEL_ZONE = 'topology.kubernetes.io/zone';

/** Name and namespace of an object; a missing namespace is `default`, as kubectl has it. */
export function metadataOf(raw: Field): { namespace: string; name: string } {
  const metadata = raw.get('metadata');
  const name = metadata.get('name').string();
  const namespace = metadata.get('namespace').optionalString();
  return { namespace: namespace === undefined || namespace === '' ? 'default' : namespace, name };
}

export function labelsOf(raw: Field): Record<string, string> {
  return raw.get('metadata').get('labels').optionalStringMap() ?? {};
}
