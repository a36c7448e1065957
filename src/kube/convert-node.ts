import type { NodeObject } from '../model/objects.js';
import type { Field, Problem } from './fields.js';
import { canonicalIp } from './ip.js';
import { labelsOf, metadataOf } from './metadata.js';

/** v1 Node. Throws FieldError when it is unusable; addresses left out are added to `problems`. */
export function convertNode(raw: Field, problems: Problem[]): NodeObject {
  const spec = raw.get('spec');
  return {
    name: metadataOf(raw).name,
    labels: labelsOf(raw),
    internalIPs: convertInternalIPs(raw.get('status').get('addresses'), problems),
    podCIDRs: convertPodCIDRs(spec),
    taints: spec
      .get('taints')
      .items()
      .map((taint) => ({
        key: taint.get('key').string(),
        effect: taint.get('effect').optionalString() ?? '',
      })),
    deleting: raw.get('metadata').get('deletionTimestamp').present,
  };
}

function convertInternalIPs(field: Field, problems: Problem[]): string[] {
  const result: string[] = [];
  for (const entry of field.items()) {
    if (entry.get('type').optionalString() !== 'InternalIP') continue;
    const address = entry.get('address');
    const ip = canonicalIp(address.optionalString() ?? '');
    if (ip !== undefined) result.push(ip);
    else problems.push({ path: address.path, message: 'is no IP address and is left out; correct it' });
  }
  return result;
}

function convertPodCIDRs(spec: Field): string[] {
  const list = spec.get('podCIDRs').items();
  const entries = list.length > 0 ? list : [spec.get('podCIDR')];
  return entries.map((entry) => entry.optionalString() ?? '').filter((text) => text !== '');
}
