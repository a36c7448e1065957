import type {
  EndpointObject,
  EndpointPortObject,
  EndpointSliceObject,
  ServiceObject,
} from '../model/objects.js';
import type { PodObject } from './convert-pod.js';
import { familyOf } from './ip.js';

/** spec.trafficDistribution: which hints the control plane puts on the endpoints. */
export type TrafficDistribution = 'PreferSameZone' | 'PreferSameNode' | undefined;

export interface SelectedPods {
  slices: EndpointSliceObject[];
  /** Named target ports that a selected pod does not have. */
  unresolved: { portName: string; targetPort: string; pod: string }[];
}

/**
 * Slices as the control plane makes them of a Service's selector: one per family and set of target port numbers
 * (a named port may have another number in each pod). `zoneOf` tells the zone of a node.
 */
export function selectPods(
  service: ServiceObject,
  distribution: TrafficDistribution,
  pods: readonly PodObject[],
  zoneOf: (nodeName: string) => string | undefined,
): SelectedPods {
  const slices = new Map<string, EndpointSliceObject>();
  const unresolved: SelectedPods['unresolved'] = [];
  for (const pod of pods) {
    if (pod.finished) continue;
    const ports = resolvePorts(service, pod, unresolved);
    if (ports.length === 0) continue;
    const signature = ports.map(({ name, port }) => `${name}=${port}`).join(',');
    for (const family of [4, 6] as const) {
      const ip = pod.ips.find((each) => familyOf(each) === family);
      if (ip === undefined) continue;
      const name = `${service.name}:pods:ipv${family}:${signature}`;
      let slice = slices.get(name);
      if (slice === undefined) {
        slice = {
          namespace: service.namespace,
          name,
          serviceName: service.name,
          addressType: family === 4 ? 'IPv4' : 'IPv6',
          headless: false,
          ports,
          endpoints: [],
        };
        slices.set(name, slice);
      }
      slice.endpoints.push(toEndpoint(service, distribution, pod, ip, zoneOf));
    }
  }
  return { slices: [...slices.values()], unresolved };
}

export function isSelected(selector: Readonly<Record<string, string>>, pod: PodObject): boolean {
  return Object.entries(selector).every(([key, value]) => pod.labels[key] === value);
}

function resolvePorts(
  service: ServiceObject,
  pod: PodObject,
  unresolved: SelectedPods['unresolved'],
): EndpointPortObject[] {
  const ports: EndpointPortObject[] = [];
  for (const { name, protocol, port, targetPort = port } of service.ports) {
    const number =
      typeof targetPort === 'number'
        ? targetPort
        : pod.ports.find((each) => each.name === targetPort && each.protocol === protocol)?.port;
    if (number !== undefined) ports.push({ name, protocol, port: number });
    else unresolved.push({ portName: name, targetPort: String(targetPort), pod: pod.name });
  }
  return ports;
}

function toEndpoint(
  service: ServiceObject,
  distribution: TrafficDistribution,
  pod: PodObject,
  ip: string,
  zoneOf: (nodeName: string) => string | undefined,
): EndpointObject {
  const endpoint: EndpointObject = {
    addresses: [ip],
    ready: service.publishNotReadyAddresses || (pod.ready && !pod.terminating),
    serving: pod.ready,
    terminating: pod.terminating,
  };
  if (pod.nodeName === undefined) return endpoint;
  endpoint.nodeName = pod.nodeName;
  const zone = zoneOf(pod.nodeName);
  if (zone !== undefined) endpoint.zone = zone;
  if (distribution === undefined || endpoint.ready !== true) return endpoint;
  if (zone !== undefined) endpoint.hintZones = [zone];
  if (distribution === 'PreferSameNode') endpoint.hintNodes = [pod.nodeName];
  return endpoint;
}
