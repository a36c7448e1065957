import type {
  LoadBalancerIngress,
  Protocol,
  ServiceObject,
  ServicePortObject,
  SessionAffinity,
} from '../model/objects.js';
import type { Field, Problem } from './fields.js';
import { canonicalIp, familyOf } from './ip.js';
import { LABEL_PROXY_NAME, labelsOf, metadataOf } from './metadata.js';

const SERVICE_TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;
const POLICIES = ['Cluster', 'Local'] as const;
export const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const ANNOTATION_PREFIX = 'shunt.dev/';
/** What the API server fills in for sessionAffinityConfig.clientIP.timeoutSeconds: three hours. */
const DEFAULT_AFFINITY_TIMEOUT_S = 10_800;
const MAX_AFFINITY_TIMEOUT_S = 86_400;

/** v1 Service. Throws FieldError when it is unusable; entries left out are added to `problems`. */
export function convertService(raw: Field, problems: Problem[]): ServiceObject {
  const { namespace, name } = metadataOf(raw);
  const metadata = raw.get('metadata');
  const spec = raw.get('spec');
  const type = spec.get('type').oneOf(SERVICE_TYPES, 'ClusterIP');
  const { clusterIPs, none } = convertClusterIPs(spec, problems);
  const headless = none || (clusterIPs.length === 0 && type !== 'ExternalName');
  const service: ServiceObject = {
    namespace,
    name,
    creationTimestampMs: metadata.get('creationTimestamp').optionalTimeMs() ?? 0,
    type,
    clusterIPs,
    headless,
    ports: convertPorts(spec.get('ports'), type, problems),
    externalTrafficPolicy: spec.get('externalTrafficPolicy').oneOf(POLICIES, 'Cluster'),
    internalTrafficPolicy: spec.get('internalTrafficPolicy').oneOf(POLICIES, 'Cluster'),
    sessionAffinity: convertAffinity(spec),
    externalIPs: convertExternalIPs(spec.get('externalIPs'), problems),
    loadBalancerIngress: convertIngress(raw.get('status').get('loadBalancer').get('ingress'), problems),
    loadBalancerSourceRanges: spec
      .get('loadBalancerSourceRanges')
      .items()
      .map((entry) => entry.optionalString() ?? ''),
    healthCheckNodePort: spec.get('healthCheckNodePort').optionalInteger(0, 65_535) ?? 0,
    publishNotReadyAddresses: spec.get('publishNotReadyAddresses').optionalBoolean() ?? false,
    annotations: convertAnnotations(metadata.get('annotations')),
  };
  const uid = metadata.get('uid').optionalString();
  if (uid !== undefined) service.uid = uid;
  const proxyName = labelsOf(raw)[LABEL_PROXY_NAME];
  if (proxyName !== undefined) service.proxyName = proxyName;
  const selector = spec.get('selector').optionalStringMap();
  // The API drops an empty selector when it writes the object, so empty and absent are the same.
  if (selector !== undefined && Object.keys(selector).length > 0) service.selector = selector;
  if (service.ports.length === 0 && !none && type !== 'ExternalName') {
    problems.push({ path: ['spec', 'ports'], message: 'is empty, so nothing can be reached; add a port' });
  }
  return service;
}

function convertClusterIPs(spec: Field, problems: Problem[]): { clusterIPs: string[]; none: boolean } {
  const list = spec.get('clusterIPs').items();
  const single = spec.get('clusterIP');
  const clusterIPs: string[] = [];
  for (const entry of list.length > 0 ? list : [single]) {
    const text = entry.optionalString() ?? '';
    if (text === 'None') return { clusterIPs: [], none: true };
    if (text === '') continue;
    const ip = canonicalIp(text) ?? entry.fail(`is ${JSON.stringify(text)}; use an IP address or None`);
    const other = clusterIPs.find((each) => familyOf(each) === familyOf(ip));
    if (other === undefined) clusterIPs.push(ip);
    else
      problems.push({
        path: entry.path,
        message: `${ip} is left out, ${other} is of its family; remove one`,
      });
  }
  const first = single.optionalString() ?? '';
  if (first !== '' && clusterIPs.length > 0 && canonicalIp(first) !== clusterIPs[0]) {
    const message = `${first} does not count, clusterIPs[0] is ${clusterIPs[0]}; write the same in both`;
    problems.push({ path: single.path, message });
  }
  return { clusterIPs, none: false };
}

function convertPorts(field: Field, type: ServiceObject['type'], problems: Problem[]): ServicePortObject[] {
  const ports: ServicePortObject[] = [];
  const entries = field.items();
  for (const entry of entries) {
    const port = convertPort(entry, type, problems);
    // The name is part of every identity made from the port, so the API's rule is enforced here as well.
    if (port.name === '' && entries.length > 1) {
      entry.get('name').fail('is missing; every port needs a name when there is more than one');
    }
    for (const other of ports) {
      if (other.name === port.name) entry.get('name').fail(`${port.name} is used twice; rename one port`);
      if (other.port === port.port && other.protocol === port.protocol) {
        entry.get('port').fail(`${port.port}/${port.protocol} is used twice; remove one of the two ports`);
      }
    }
    ports.push(port);
  }
  return ports;
}

function convertPort(entry: Field, type: ServiceObject['type'], problems: Problem[]): ServicePortObject {
  const number = entry.get('port');
  const port = number.optionalInteger(1, 65_535) ?? number.fail('is missing; set it to the port clients use');
  const nodePort = entry.get('nodePort').optionalInteger(0, 65_535) ?? 0;
  const wantsNodePort = type === 'NodePort' || type === 'LoadBalancer';
  if (nodePort !== 0 && !wantsNodePort) {
    problems.push({
      path: entry.get('nodePort').path,
      message: `has no effect on type ${type}; set spec.type: NodePort, or remove it`,
    });
  }
  return {
    name: entry.get('name').optionalString() ?? '',
    protocol: entry.get('protocol').oneOf(PROTOCOLS, 'TCP'),
    port,
    nodePort: wantsNodePort ? nodePort : 0,
    targetPort: convertTargetPort(entry.get('targetPort'), port),
  };
}

function convertTargetPort(field: Field, port: number): number | string {
  if (!field.present || field.value === '' || field.value === 0) return port;
  if (typeof field.value !== 'string') return field.optionalInteger(1, 65_535) ?? port;
  if (/^\d+$/.test(field.value))
    field.fail('is a number in quotes, which would name a port; remove the quotes');
  return field.value;
}

function convertAffinity(spec: Field): SessionAffinity {
  const mode = spec.get('sessionAffinity').oneOf(['None', 'ClientIP'] as const, 'None');
  if (mode === 'None') return { mode };
  const timeout = spec.get('sessionAffinityConfig').get('clientIP').get('timeoutSeconds');
  return {
    mode,
    timeoutSeconds: timeout.optionalInteger(1, MAX_AFFINITY_TIMEOUT_S) ?? DEFAULT_AFFINITY_TIMEOUT_S,
  };
}

function convertExternalIPs(field: Field, problems: Problem[]): string[] {
  const result: string[] = [];
  for (const entry of field.items()) {
    const text = entry.optionalString() ?? '';
    const ip = canonicalIp(text);
    if (ip !== undefined) result.push(ip);
    else problems.push(notAnAddress(entry, text));
  }
  return result;
}

function convertIngress(field: Field, problems: Problem[]): LoadBalancerIngress[] {
  const result: LoadBalancerIngress[] = [];
  for (const entry of field.items()) {
    const ingress: LoadBalancerIngress = {};
    const text = entry.get('ip').optionalString() ?? '';
    if (text !== '') {
      const ip = canonicalIp(text);
      if (ip === undefined) {
        problems.push(notAnAddress(entry.get('ip'), text));
        continue;
      }
      ingress.ip = ip;
    }
    const hostname = entry.get('hostname').optionalString() ?? '';
    if (hostname !== '') ingress.hostname = hostname;
    if (entry.get('ipMode').present)
      ingress.ipMode = entry.get('ipMode').oneOf(['VIP', 'Proxy'] as const, 'VIP');
    result.push(ingress);
  }
  return result;
}

function notAnAddress(entry: Field, text: string): Problem {
  return {
    path: entry.path,
    message: `${JSON.stringify(text)} is no IP address and is left out; correct or remove it`,
  };
}

function convertAnnotations(field: Field): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [key, value] of Object.entries(field.optionalStringMap() ?? {})) {
    if (key.startsWith(ANNOTATION_PREFIX)) result[key] = value;
  }
  return result;
}
