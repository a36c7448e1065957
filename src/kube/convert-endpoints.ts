import type { EndpointPortObject } from '../model/objects.js';
import { PROTOCOLS } from './convert-service.js';
import type { Field, Problem } from './fields.js';
import { canonicalIp } from './ip.js';
import { labelsOf, metadataOf } from './metadata.js';

const LABEL_SKIP_MIRROR = 'endpointslice.kubernetes.io/skip-mirror';
/** Endpoints that once served leader election are no endpoints of anything. */
const ANNOTATION_LEADER = 'control-plane.alpha.kubernetes.io/leader';

export interface EndpointsAddress {
  ip: string;
  ready: boolean;
  nodeName?: string;
}

export interface EndpointsObject {
  namespace: string;
  name: string;
  /** The control plane makes no slices of these. */
  skipMirror: boolean;
  subsets: { addresses: EndpointsAddress[]; ports: EndpointPortObject[] }[];
}

/** v1 Endpoints. Throws FieldError when it is unusable; addresses left out are added to `problems`. */
export function convertEndpoints(raw: Field, problems: Problem[]): EndpointsObject {
  const annotations = raw.get('metadata').get('annotations').optionalStringMap() ?? {};
  return {
    ...metadataOf(raw),
    skipMirror: labelsOf(raw)[LABEL_SKIP_MIRROR] === 'true' || ANNOTATION_LEADER in annotations,
    subsets: raw
      .get('subsets')
      .items()
      .map((subset) => ({
        addresses: [
          ...convertAddresses(subset.get('addresses'), true, problems),
          ...convertAddresses(subset.get('notReadyAddresses'), false, problems),
        ],
        ports: subset.get('ports').items().map(convertPort),
      })),
  };
}

function convertAddresses(field: Field, ready: boolean, problems: Problem[]): EndpointsAddress[] {
  const result: EndpointsAddress[] = [];
  for (const entry of field.items()) {
    const text = entry.get('ip').string();
    const ip = canonicalIp(text);
    if (ip === undefined) {
      const message = `${JSON.stringify(text)} is no IP address and is left out; correct it`;
      problems.push({ path: entry.get('ip').path, message });
      continue;
    }
    const nodeName = entry.get('nodeName').optionalString() ?? '';
    result.push({ ip, ready, ...(nodeName === '' ? {} : { nodeName }) });
  }
  return result;
}

function convertPort(entry: Field): EndpointPortObject {
  const port = entry.get('port');
  return {
    name: entry.get('name').optionalString() ?? '',
    protocol: entry.get('protocol').oneOf(PROTOCOLS, 'TCP'),
    port: port.optionalInteger(1, 65_535) ?? port.fail('is missing; set it'),
  };
}
