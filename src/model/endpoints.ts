// EndpointSlices -> the endpoints of one service port. SEMANTICS sections 1 and 3.

import { type Family, isUnparsable, kindOf, parseAddress, sortKey } from './addresses.js';
import type {
  EndpointObject,
  EndpointPortObject,
  EndpointSliceObject,
  Protocol,
  Warning,
} from './objects.js';

/** One entry of a slice, its address checked and its conditions resolved. */
export interface SliceEndpoint {
  /** Position in the slice, for messages. */
  readonly index: number;
  readonly ip: string;
  readonly sortKey: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly hintZones?: readonly string[];
  readonly hintNodes?: readonly string[];
}

/** A slice that counts. Addresses are parsed once per version of a slice, not once per recomputed service. */
export interface ParsedSlice {
  readonly key: string;
  /** namespace/name of the Service. */
  readonly serviceKey: string;
  readonly family: Family;
  readonly ports: readonly EndpointPortObject[];
  readonly endpoints: readonly SliceEndpoint[];
  readonly warnings: readonly Warning[];
}

/** An endpoint on one port: a backend before anyone has asked whether it is usable. */
export interface Endpoint extends SliceEndpoint {
  readonly port: number;
}

const FAMILIES = { IPv4: 4, IPv6: 6 } as const;

/** undefined for a slice that has no data path: FQDN, headless, or of no Service. */
export function parseSlice(slice: EndpointSliceObject): ParsedSlice | undefined {
  if (slice.addressType === 'FQDN' || slice.headless || !slice.serviceName) return undefined;
  const family = FAMILIES[slice.addressType];
  const object = `EndpointSlice ${slice.namespace}/${slice.name}`;
  const endpoints: SliceEndpoint[] = [];
  const warnings: Warning[] = [];
  for (const [index, endpoint] of slice.endpoints.entries()) {
    const parsed = parseEndpoint(endpoint, index, family);
    if (typeof parsed !== 'string') endpoints.push(parsed);
    else warnings.push({ object, field: addressField(index), message: parsed });
  }
  for (const [index, { port }] of slice.ports.entries()) {
    if (port === null || port === 0 || isPort(port)) continue;
    const message = `${port} is no port number and gives no backend; use 1 to 65535`;
    warnings.push({ object, field: `ports[${index}].port`, message });
  }
  return {
    key: `${slice.namespace}/${slice.name}`,
    serviceKey: `${slice.namespace}/${slice.serviceName}`,
    family,
    ports: slice.ports,
    endpoints,
    warnings,
  };
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function addressField(index: number): string {
  return `endpoints[${index}].addresses[0]`;
}

/** The endpoint, or the message that says why it is no backend. */
function parseEndpoint(endpoint: EndpointObject, index: number, family: Family): SliceEndpoint | string {
  const text = endpoint.addresses[0] ?? '';
  const address = parseAddress(text);
  if (isUnparsable(address)) return refusal(JSON.stringify(text), address.reason);
  const kind = kindOf(address);
  if (kind !== 'unicast') return refusal(text, `is ${/^[uI]/.test(kind) ? 'an' : 'a'} ${kind} address`);
  if (address.family !== family) return refusal(text, `is no IPv${family} address`);
  const ready = endpoint.ready ?? true;
  return {
    index,
    ip: address.text,
    sortKey: sortKey(address),
    ready,
    serving: endpoint.serving ?? ready,
    terminating: endpoint.terminating ?? false,
    ...(endpoint.nodeName ? { nodeName: endpoint.nodeName } : {}),
    ...(endpoint.zone ? { zone: endpoint.zone } : {}),
    ...(endpoint.hintZones?.length ? { hintZones: endpoint.hintZones } : {}),
    ...(endpoint.hintNodes?.length ? { hintNodes: endpoint.hintNodes } : {}),
  };
}

function refusal(address: string, cause: string): string {
  return `${address} ${cause} and is refused as a backend; correct the endpoint`;
}

export interface MergedEndpoints {
  /** By address, then port; unique. */
  endpoints: Endpoint[];
  warnings: Warning[];
}

/**
 * The endpoints of one port of a Service in one family. A slice's port belongs to the Service's port of the same
 * name and protocol; its number is the target. The order of `slices` has no influence on the result.
 */
export function mergeEndpoints(
  slices: readonly ParsedSlice[],
  port: { name: string; protocol: Protocol; family: Family },
  isClusterIp: (ip: string) => boolean,
): MergedEndpoints {
  const merged = new Map<string, { endpoint: Endpoint; slice: string }>();
  const warnings: Warning[] = [];
  for (const slice of slices) {
    if (slice.family !== port.family) continue;
    const targets = targetPorts(slice.ports, port.name, port.protocol);
    if (targets.length === 0) continue;
    for (const entry of slice.endpoints) {
      if (isClusterIp(entry.ip)) {
        const message = refusal(entry.ip, 'is the cluster IP of a Service');
        warnings.push({ object: `EndpointSlice ${slice.key}`, field: addressField(entry.index), message });
        continue;
      }
      for (const target of targets) {
        const id = `${entry.ip} ${target}`;
        const present = merged.get(id);
        if (present && !isBetter(entry, slice.key, present.endpoint, present.slice)) continue;
        merged.set(id, { endpoint: { ...entry, port: target }, slice: slice.key });
      }
    }
  }
  const endpoints = [...merged.values()].map(({ endpoint }) => endpoint);
  endpoints.sort((a, b) => compareText(a.sortKey, b.sortKey) || a.port - b.port);
  return { endpoints, warnings };
}

function targetPorts(ports: readonly EndpointPortObject[], name: string, protocol: Protocol): number[] {
  const targets: number[] = [];
  for (const port of ports) {
    if (port.name !== name || port.protocol !== protocol) continue;
    if (port.port !== null && isPort(port.port)) targets.push(port.port);
  }
  return targets;
}

/**
 * Which of two entries for one address and port speaks for it. Not terminating comes before everything else, so that
 * the slice an endpoint moves into wins; the rest only makes the outcome independent of the order of events.
 */
function isBetter(
  entry: SliceEndpoint,
  slice: string,
  present: SliceEndpoint,
  presentSlice: string,
): boolean {
  if (entry.terminating !== present.terminating) return present.terminating;
  if (entry.ready !== present.ready) return entry.ready;
  if (entry.serving !== present.serving) return entry.serving;
  if ((entry.nodeName === undefined) !== (present.nodeName === undefined))
    return entry.nodeName !== undefined;
  if (slice !== presentSlice) return slice < presentSlice;
  return entry.index < present.index;
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
