import type { Protocol } from '../../model/objects.js';
import type { NodeAddress } from '../addresses.js';
import type { Listener } from './listeners.js';

/** A NodePort of one family. */
export interface NodePort {
  /** namespace/name */
  service: string;
  protocol: Protocol;
  family: 4 | 6;
  port: number;
}

/** A NodePort and the socket that hears nothing because of it. */
export interface Taken {
  nodePort: NodePort;
  /** `0.0.0.0:30080`, `[::]:30080`, `127.0.0.1:30080` */
  listener: string;
}

/**
 * NodePorts whose number a socket of this node listens on, where both mean the same packets: one pair per NodePort of a
 * Service, the families together. A socket on `::` is taken to hear IPv4 as well, as it does by default.
 */
export function takenNodePorts(
  nodePorts: Iterable<NodePort>,
  listeners: readonly Listener[],
  addresses: readonly Pick<NodeAddress, 'ip' | 'nodePorts'>[],
): Taken[] {
  const byPort = new Map<string, Listener[]>();
  for (const listener of listeners) {
    const key = `${listener.protocol} ${listener.port}`;
    byPort.set(key, [...(byPort.get(key) ?? []), listener]);
  }
  if (byPort.size === 0) return [];
  const accepting = addresses.filter((address) => address.nodePorts).map(({ ip }) => ip);
  const found = new Map<string, Taken>();
  for (const nodePort of nodePorts) {
    const key = `${nodePort.protocol} ${nodePort.port}`;
    const id = `${nodePort.service} ${key}`;
    if (found.has(id)) continue;
    const mine = accepting.filter((ip) => ip.includes(':') === (nodePort.family === 6));
    const listener = byPort.get(key)?.find((each) => isHeard(each, nodePort.family, mine));
    if (listener) found.set(id, { nodePort, listener: textOf(listener) });
  }
  return [...found.values()];
}

/** @param accepting addresses of the family on which NodePorts answer. */
function isHeard({ family, ip }: Listener, wanted: 4 | 6, accepting: readonly string[]): boolean {
  if (ip !== undefined) return family === wanted && accepting.includes(ip);
  return accepting.length > 0 && (family === wanted || family === 6);
}

function textOf({ family, ip, port }: Listener): string {
  const host = ip ?? (family === 4 ? '0.0.0.0' : '::');
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What to do about it. */
export function wayOut({ protocol, port }: NodePort): string {
  const how = protocol === 'TCP' ? 'ss -lntp' : 'ss -lnup';
  return `find it with '${how} sport = :${port}' and end it or have it listen elsewhere, or give the Service another nodePort`;
}
