import type { NodeAddress } from '../addresses.js';

/** Where health checks are answered. */
export interface Place {
  host: string;
  ipv6Only: boolean;
}

/**
 * The addresses that take NodePorts. A family that nothing restricts gets its wildcard address: one socket
 * that follows every change of the node's addresses by itself.
 * @param nodePortAddresses CIDRs, or `primary`; empty: all.
 */
export function healthCheckPlaces(
  addresses: readonly NodeAddress[],
  nodePortAddresses: readonly string[],
): Place[] {
  const places: Place[] = [];
  for (const [isSix, wildcard] of [
    [false, '0.0.0.0'],
    [true, '::'],
  ] as const) {
    if (isUnrestricted(nodePortAddresses, isSix)) {
      places.push({ host: wildcard, ipv6Only: isSix });
      continue;
    }
    for (const { ip, nodePorts } of addresses)
      if (nodePorts && ip.includes(':') === isSix) places.push({ host: ip, ipv6Only: isSix });
  }
  return places;
}

function isUnrestricted(nodePortAddresses: readonly string[], isSix: boolean): boolean {
  if (nodePortAddresses.includes('primary')) return false;
  const own = nodePortAddresses.filter((cidr) => cidr.includes(':') === isSix);
  return own.length === 0 || own.some((cidr) => cidr.endsWith('/0'));
}
