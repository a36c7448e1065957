import ipaddr from 'ipaddr.js';

/** A range of cluster IPs, e.g. 10.96.0.0/16 or fd00:96::/112. */
export interface ClusterIpRange {
  family: 4 | 6;
  base: bigint;
  /** Addresses that can be given out: without the first and the last one. */
  size: bigint;
}

/** Throws when the text is no CIDR with room for addresses. */
export function parseClusterIpRange(cidr: string): ClusterIpRange {
  if (!ipaddr.isValidCIDR(cidr)) {
    throw new Error(
      `use cluster IP range: ${JSON.stringify(cidr)} is no CIDR (EINVAL). Write it like 10.96.0.0/16`,
    );
  }
  const [address, prefix] = ipaddr.parseCIDR(cidr);
  const family = address.kind() === 'ipv4' ? 4 : 6;
  const bits = family === 4 ? 32 : 128;
  const total = 1n << BigInt(bits - prefix);
  if (total < 4n)
    throw new Error(`use cluster IP range: ${cidr} is too small (EINVAL). Use a shorter prefix`);
  const number = address.toByteArray().reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family, base: number - (number % total), size: total - 2n };
}

/**
 * A cluster IP for a Service that has none: a hash of its name, and the next free one when that is taken. Every agent
 * that reads the same manifests comes to the same result. undefined when the range is full.
 */
export function allocateClusterIp(
  range: ClusterIpRange,
  serviceKey: string,
  isTaken: (ip: string) => boolean,
): string | undefined {
  const start = hash(serviceKey) % range.size;
  for (let step = 0n; step < range.size && step < 65_536n; step++) {
    const ip = render(range.family, range.base + 1n + ((start + step) % range.size));
    if (!isTaken(ip)) return ip;
  }
  return undefined;
}

/** FNV-1a, 64 bits. */
function hash(text: string): bigint {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    value = ((value ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return value;
}

function render(family: 4 | 6, number: bigint): string {
  const bytes = Array.from({ length: family === 4 ? 4 : 16 }, (_, i) => {
    return Number((number >> BigInt(8 * ((family === 4 ? 3 : 15) - i))) & 0xffn);
  });
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}
