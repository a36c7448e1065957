// Which Services count, and what of a Service does. SEMANTICS section 1.

import {
  type Address,
  type AddressKind,
  type Family,
  isUnparsable,
  kindOf,
  parseAddress,
} from './addresses.js';
import { readAnnotations } from './annotations.js';
import type { Algorithm } from './desired.js';
import { isPort } from './endpoints.js';
import type { ServiceObject, ServicePortObject, SessionAffinity, Warning } from './objects.js';
import { readSourceRanges, type SourceRanges } from './sourceRanges.js';

export interface ServiceRules {
  /** Serve what kube-proxy would; else only Services labelled with `proxyName`. */
  readonly serveAll: boolean;
  /** The value of label service.kubernetes.io/service-proxy-name that means us. */
  readonly proxyName: string;
  readonly defaultAlgorithm: Algorithm;
  /** NodePorts outside are served, and reported: other uses of ports were checked against these. */
  readonly nodePortRange?: { readonly min: number; readonly max: number };
}

const NO_ADDRESS: ReadonlySet<AddressKind> = new Set(['unspecified', 'IPv4-mapped']);
const NO_INGRESS: ReadonlySet<AddressKind> = new Set([...NO_ADDRESS, 'loopback', 'multicast', 'broadcast']);
const NO_CLUSTER_IP: ReadonlySet<AddressKind> = new Set([...NO_INGRESS, 'link-local']);

/** A port together with its place in spec.ports, for messages. */
export interface ShapePort extends ServicePortObject {
  readonly index: number;
}

/** A Service with a data path, read and checked. It depends on nothing but the object and the rules. */
export interface ServiceShape {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly createdMs: number;
  /** Ours to serve. The others are known for their addresses. */
  readonly served: boolean;
  readonly clusterIps: readonly Address[];
  /** Families of the cluster IPs, unreadable ones included: a Service has frontends in no other. */
  readonly families: readonly Family[];
  readonly ingressIps: readonly Address[];
  /** Not yet checked against the allow-list. */
  readonly externalIps: readonly Address[];
  readonly ports: readonly ShapePort[];
  readonly affinity: SessionAffinity;
  readonly algorithm: Algorithm;
  readonly topologyKeys?: readonly string[];
  readonly externalTrafficPolicy: ServiceObject['externalTrafficPolicy'];
  readonly internalTrafficPolicy: ServiceObject['internalTrafficPolicy'];
  readonly sourceRanges: SourceRanges;
  /** 0: none. */
  readonly healthCheckNodePort: number;
  readonly warnings: readonly Warning[];
}

/** ExternalName and headless Services have none, whatever cluster IP an ExternalName has left over. */
export function hasDataPath(service: ServiceObject): boolean {
  return service.type !== 'ExternalName' && !service.headless && service.clusterIPs.length > 0;
}

/** A label that names a proxy, be it by an empty value, takes the Service away from every other one. */
export function isServed(service: ServiceObject, rules: ServiceRules): boolean {
  if (!hasDataPath(service)) return false;
  if (service.proxyName === undefined) return rules.serveAll;
  return service.proxyName === rules.proxyName;
}

/** undefined for a Service without a data path. */
export function readService(service: ServiceObject, rules: ServiceRules): ServiceShape | undefined {
  if (!hasDataPath(service)) return undefined;
  const object = `Service ${service.namespace}/${service.name}`;
  const warnings: Warning[] = [];
  const clusterIps = readAddresses(
    service.clusterIPs,
    (index) => `spec.clusterIPs[${index}]`,
    object,
    warnings,
    NO_CLUSTER_IP,
  );
  const isLoadBalancer = service.type === 'LoadBalancer';
  const ranges = readSourceRanges(isLoadBalancer ? service.loadBalancerSourceRanges : [], object);
  const annotations = readAnnotations(service.annotations, object, rules.defaultAlgorithm);
  warnings.push(...ranges.warnings, ...annotations.warnings);
  return {
    key: `${service.namespace}/${service.name}`,
    namespace: service.namespace,
    name: service.name,
    createdMs: service.creationTimestampMs,
    served: isServed(service, rules),
    clusterIps,
    families: familiesOf(service.clusterIPs),
    ingressIps: isLoadBalancer ? readIngress(service, object, warnings) : [],
    externalIps: readAddresses(
      service.externalIPs,
      (index) => `spec.externalIPs[${index}]`,
      object,
      warnings,
      // Of the others the allow-list decides.
      NO_ADDRESS,
    ),
    ports: readPorts(service, object, warnings, rules),
    affinity: readAffinity(service.sessionAffinity, object, warnings),
    algorithm: annotations.algorithm,
    ...(annotations.topologyKeys ? { topologyKeys: annotations.topologyKeys } : {}),
    externalTrafficPolicy: service.externalTrafficPolicy,
    internalTrafficPolicy: service.internalTrafficPolicy,
    sourceRanges: ranges.ranges,
    healthCheckNodePort:
      isLoadBalancer && service.externalTrafficPolicy === 'Local' ? service.healthCheckNodePort : 0,
    warnings,
  };
}

/** A cluster IP that can't be read still says of which family the Service's other frontends are. */
function familiesOf(clusterIPs: readonly string[]): Family[] {
  const isV6 = (text: string): boolean => text.includes(':');
  const isV4 = (text: string): boolean => /^[\d.]+$/.test(text);
  return [...(clusterIPs.some(isV4) ? ([4] as const) : []), ...(clusterIPs.some(isV6) ? ([6] as const) : [])];
}

/** Canonical and unique. An address that a packet can't be sent to never becomes a frontend. */
function readAddresses(
  texts: readonly string[],
  field: (index: number) => string,
  object: string,
  warnings: Warning[],
  refused: ReadonlySet<AddressKind>,
): Address[] {
  const addresses = new Map<string, Address>();
  for (const [index, text] of texts.entries()) {
    const address = parseAddress(text);
    const cause = isUnparsable(address) ? address.reason : refusal(kindOf(address), refused);
    if (cause !== undefined) {
      const message = `${JSON.stringify(text)} ${cause} and is left out; correct or remove it`;
      warnings.push({ object, field: field(index), message });
    } else if (!isUnparsable(address)) addresses.set(address.text, address);
  }
  return [...addresses.values()];
}

function refusal(kind: AddressKind, refused: ReadonlySet<AddressKind>): string | undefined {
  return refused.has(kind) ? `is ${/^[aiu]/i.test(kind) ? 'an' : 'a'} ${kind} address` : undefined;
}

/** In mode Proxy the load balancer wants to see in-cluster traffic as well, so the address is no frontend. */
function readIngress(service: ServiceObject, object: string, warnings: Warning[]): Address[] {
  const indices: number[] = [];
  const texts: string[] = [];
  for (const [index, { ip, ipMode }] of service.loadBalancerIngress.entries()) {
    if (!ip || ipMode === 'Proxy') continue;
    indices.push(index);
    texts.push(ip);
  }
  const field = (at: number) => `status.loadBalancer.ingress[${indices[at]}].ip`;
  return readAddresses(texts, field, object, warnings, NO_INGRESS);
}

function readPorts(
  service: ServiceObject,
  object: string,
  warnings: Warning[],
  rules: ServiceRules,
): ShapePort[] {
  const ports: ShapePort[] = [];
  for (const [index, entry] of service.ports.entries()) {
    const field = `spec.ports[${index}]`;
    const same = (other: ShapePort): boolean =>
      other.protocol === entry.protocol && (other.name === entry.name || other.port === entry.port);
    if (!isPort(entry.port)) {
      const message = `${entry.port} is no port number; the entry is left out. Use 1 to 65535`;
      warnings.push({ object, field: `${field}.port`, message });
    } else if (ports.some(same)) {
      const message =
        'repeats the name or number of an earlier port of its protocol and is left out; change it';
      warnings.push({ object, field, message });
    } else {
      ports.push({
        ...entry,
        index,
        nodePort: readNodePort(service, entry, `${field}.nodePort`, object, warnings, rules),
      });
    }
  }
  return ports;
}

function readNodePort(
  service: ServiceObject,
  { nodePort }: ServicePortObject,
  field: string,
  object: string,
  warnings: Warning[],
  { nodePortRange: range }: ServiceRules,
): number {
  if (nodePort === 0) return 0;
  if (!isPort(nodePort)) {
    warnings.push({
      object,
      field,
      message: `${nodePort} is no port number and is left out; use 1 to 65535`,
    });
    return 0;
  }
  if (service.type !== 'ClusterIP') {
    if (range && (nodePort < range.min || nodePort > range.max)) {
      const message = `${nodePort} is outside of ${range.min}-${range.max}, where sockets and SNAT may have it; choose another port, or name the cluster's range with --service-node-port-range`;
      warnings.push({ object, field, message });
    }
    return nodePort;
  }
  warnings.push({
    object,
    field,
    message: 'has no effect on type ClusterIP; use type NodePort or remove it',
  });
  return 0;
}

function readAffinity(affinity: SessionAffinity, object: string, warnings: Warning[]): SessionAffinity {
  if (affinity.mode === 'None') return { mode: 'None' };
  const { timeoutSeconds } = affinity;
  if (Number.isInteger(timeoutSeconds) && timeoutSeconds >= 1 && timeoutSeconds <= 86_400) {
    return { mode: 'ClientIP', timeoutSeconds };
  }
  const field = 'spec.sessionAffinityConfig.clientIP.timeoutSeconds';
  warnings.push({
    object,
    field,
    message: `${timeoutSeconds} is out of range; 10800 is used. Use 1 to 86400`,
  });
  return { mode: 'ClientIP', timeoutSeconds: 10_800 };
}
