import type { ServiceCidrObject } from '../model/objects.js';
import type { Field } from './fields.js';
import { metadataOf } from './metadata.js';

/** networking.k8s.io/v1 ServiceCIDR. Entries that are no CIDR are for the model to report. */
export function convertServiceCidr(raw: Field): ServiceCidrObject {
  return {
    name: metadataOf(raw).name,
    cidrs: raw
      .get('spec')
      .get('cidrs')
      .items()
      .map((entry) => entry.optionalString() ?? ''),
  };
}
