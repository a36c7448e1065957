import type { Field } from './fields.js';

export const LABEL_PROXY_NAME = 'service.kubernetes.io/service-proxy-name';
export const LABEL_HEADLESS = 'service.kubernetes.io/headless';
export const LABEL_SERVICE_NAME = 'kubernetes.io/service-name';
export const LABEL_ZONE = 'topology.kubernetes.io/zone';

/** RFC 1123: what the API server lets through, and what makes `namespace/name` tell any two objects apart. */
const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const MAX_NAME = 253;
const MAX_NAMESPACE = 63;

/** Name and namespace of an object; a missing namespace is `default`, as kubectl has it. */
export function metadataOf(raw: Field): { namespace: string; name: string } {
  const metadata = raw.get('metadata');
  const name = metadata.get('name').string();
  checkName(metadata.get('name'), name, MAX_NAME);
  const namespace = metadata.get('namespace').optionalString();
  if (namespace === undefined || namespace === '') return { namespace: 'default', name };
  checkName(metadata.get('namespace'), namespace, MAX_NAMESPACE);
  return { namespace, name };
}

function checkName(field: Field, text: string, longest: number): void {
  if (text.length > longest) field.fail(`has ${text.length} characters; use ${longest} at most`);
  if (!NAME.test(text)) {
    field.fail(`is ${JSON.stringify(text)}; use lower case letters, digits, "-" and "." only`);
  }
}

export function labelsOf(raw: Field): Record<string, string> {
  return raw.get('metadata').get('labels').optionalStringMap() ?? {};
}
