/** Recomputes the checksums of a captured packet from scratch, by RFC 1071: nothing is taken from the sender. */

/** What is wrong with a packet; undefined when every checksum that it carries is right. */
export interface ChecksumFault {
  /** ipv4, tcp, udp, icmp, icmpv6, 'quoted ipv4' (in an ICMP error). */
  protocol: string;
  carried: number;
  /** What the field should hold. */
  right: number;
  source: string;
  destination: string;
}

export interface PacketCheck {
  faults: ChecksumFault[];
  /** Protocols whose checksum was looked at, outermost first; empty for ARP, fragments' tails and the like. */
  checked: string[];
}

const ETHERNET = 14;
const VXLAN_PORTS = [8472, 4789];

function sum16(data: Uint8Array, from: number, to: number, start = 0): number {
  let sum = start;
  for (let i = from; i + 1 < to; i += 2) sum += ((data[i] as number) << 8) | (data[i + 1] as number);
  if ((to - from) % 2 === 1) sum += (data[to - 1] as number) << 8;
  return sum;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}

function word(data: Uint8Array, at: number): number {
  return ((data[at] as number) << 8) | (data[at + 1] as number);
}

function address4(data: Uint8Array, at: number): string {
  return Array.from(data.subarray(at, at + 4)).join('.');
}

/** All eight groups, not compressed: for messages only. */
function address6(data: Uint8Array, at: number): string {
  return Array.from({ length: 8 }, (_, i) => word(data, at + 2 * i).toString(16)).join(':');
}

/** The layer above IP: where it is and what its pseudo header sums up to. */
interface Payload {
  data: Uint8Array;
  from: number;
  to: number;
  protocol: number;
  pseudo: number;
  source: string;
  destination: string;
}

/** data: a whole Ethernet frame. Tunnelled frames (VXLAN) are checked too. */
export function checkFrame(data: Uint8Array): PacketCheck {
  const result: PacketCheck = { faults: [], checked: [] };
  if (data.length < ETHERNET) return result;
  const type = word(data, 12);
  if (type === 0x0800) checkIpv4(data, ETHERNET, result);
  else if (type === 0x86dd) checkIpv6(data, ETHERNET, result);
  return result;
}

function checkIpv4(data: Uint8Array, at: number, result: PacketCheck): void {
  const headerLength = ((data[at] as number) & 0x0f) * 4;
  const to = at + word(data, at + 2);
  if (data.length < at + 20 || headerLength < 20 || to > data.length) return;
  const source = address4(data, at + 12);
  const destination = address4(data, at + 16);
  result.checked.push('ipv4');
  compare(data, at, at + headerLength, at + 10, 0, { protocol: 'ipv4', source, destination }, result);
  const fragment = word(data, at + 6) & 0x3fff; // more fragments, or an offset: the whole is not here
  if (fragment !== 0) return;
  const protocol = data[at + 9] as number;
  const from = at + headerLength;
  const pseudo = sum16(data, at + 12, at + 20, protocol + (to - from));
  checkPayload({ data, from, to, protocol, pseudo, source, destination }, result);
}

function checkIpv6(data: Uint8Array, at: number, result: PacketCheck): void {
  const to = at + 40 + word(data, at + 4);
  if (data.length < at + 40 || to > data.length) return;
  let protocol = data[at + 6] as number;
  let from = at + 40;
  // Hop-by-hop, routing, destination options: next header, length in 8 bytes without the first 8.
  while (protocol === 0 || protocol === 43 || protocol === 60) {
    if (from + 8 > to) return;
    protocol = data[from] as number;
    from += ((data[from + 1] as number) + 1) * 8;
  }
  if (protocol === 44) return; // a fragment
  const pseudo = sum16(data, at + 8, at + 40, protocol + (to - from));
  const source = address6(data, at + 8);
  const destination = address6(data, at + 24);
  checkPayload({ data, from, to, protocol, pseudo, source, destination }, result);
}

function checkPayload(p: Payload, result: PacketCheck): void {
  const { data, from, to, source, destination } = p;
  const kinds: Record<number, { name: string; at: number; min: number; pseudo: number }> = {
    1: { name: 'icmp', at: 2, min: 8, pseudo: 0 },
    6: { name: 'tcp', at: 16, min: 20, pseudo: p.pseudo },
    17: { name: 'udp', at: 6, min: 8, pseudo: p.pseudo },
    58: { name: 'icmpv6', at: 2, min: 4, pseudo: p.pseudo },
  };
  const kind = kinds[p.protocol];
  if (!kind || to - from < kind.min) return;
  const carried = word(data, from + kind.at);
  const overIpv4 = !source.includes(':');
  if (kind.name !== 'udp' || carried !== 0 || !overIpv4) {
    // Zero means "none" in UDP over IPv4, and is forbidden over IPv6 but for tunnels' outer header.
    const tunnel = kind.name === 'udp' && carried === 0 && VXLAN_PORTS.includes(word(data, from + 2));
    if (!tunnel) {
      result.checked.push(kind.name);
      const who = { protocol: kind.name, source, destination };
      compare(data, from, to, from + kind.at, kind.pseudo, who, result);
    }
  }
  if (kind.name === 'icmp' && [3, 11, 12].includes(data[from] as number))
    checkQuoted(data, from + 8, to, result);
  if (kind.name === 'udp' && VXLAN_PORTS.includes(word(data, from + 2)) && to - from > 16 + ETHERNET) {
    const inner = checkFrame(data.subarray(from + 16, to));
    result.faults.push(...inner.faults);
    result.checked.push(...inner.checked);
  }
}

/** The packet that an ICMP error quotes: its IPv4 header must be right too; the rest of it is usually cut. */
function checkQuoted(data: Uint8Array, at: number, to: number, result: PacketCheck): void {
  if (at + 20 > to || (data[at] as number) >> 4 !== 4) return;
  const headerLength = ((data[at] as number) & 0x0f) * 4;
  if (headerLength < 20 || at + headerLength > to) return;
  const who = {
    protocol: 'quoted ipv4',
    source: address4(data, at + 12),
    destination: address4(data, at + 16),
  };
  result.checked.push(who.protocol);
  compare(data, at, at + headerLength, at + 10, 0, who, result);
}

function compare(
  data: Uint8Array,
  from: number,
  to: number,
  at: number,
  pseudo: number,
  who: Pick<ChecksumFault, 'protocol' | 'source' | 'destination'>,
  result: PacketCheck,
): void {
  const carried = word(data, at);
  const sum = fold(sum16(data, from, to, pseudo) - carried);
  let right = ~sum & 0xffff;
  if (who.protocol === 'udp' && right === 0) right = 0xffff;
  // The two zeros of one's complement are one number; only UDP tells them apart, above.
  const same =
    carried === right || (who.protocol !== 'udp' && carried + right === 0xffff && carried % 0xffff === 0);
  if (!same) result.faults.push({ ...who, carried, right });
}
