import { type Bytes, formatIp, formatMac, read16, read32 } from './bytes.js';
import {
  ETHERTYPE,
  type Ethernet,
  EXTENSION,
  type Ipv4,
  type Ipv6,
  type Ipv6Extension,
  isIcmpError,
  type Packet,
  PROTOCOL,
  TCP_FLAGS,
  type Transport,
} from './spec.js';

/** A packet as found in bytes: every field of it is set, so that `build()` gives the bytes back. */
export interface Decoded extends Packet {
  /** Headers that are cut off or contradict themselves; what follows them is in `payload`. */
  problems: string[];
}

/** Ethernet frame -> packet. */
export function decode(frame: Bytes): Decoded {
  const out: Decoded = { problems: [] };
  if (frame.length < 14) return { problems: ['ethernet: cut off'], payload: frame };
  const eth: Ethernet = { dst: formatMac(frame), src: formatMac(frame.subarray(6)) };
  let at = 12;
  let type = read16(frame, at);
  while ((type === ETHERTYPE.vlan || type === 0x88a8) && frame.length >= at + 6) {
    const tci = read16(frame, at + 2);
    eth.vlan = [...(eth.vlan ?? []), { tpid: type, id: tci & 0xfff, priority: tci >> 13 }];
    at += 4;
    type = read16(frame, at);
  }
  eth.type = type;
  out.eth = eth;
  const rest = frame.subarray(at + 2);
  if (type === ETHERTYPE.ipv4 || type === ETHERTYPE.ipv6) decodeNetwork(rest, out);
  else out.payload = rest;
  return out;
}

/** IP packet -> packet without `eth`. */
export function decodeIp(bytes: Bytes): Decoded {
  const out: Decoded = { problems: [] };
  decodeNetwork(bytes, out);
  return out;
}

function decodeNetwork(b: Bytes, out: Decoded): void {
  const version = (b[0] ?? 0) >> 4;
  if (version === 4) decodeIpv4(b, out);
  else if (version === 6) decodeIpv6(b, out);
  else {
    out.problems.push(`ip: version ${version}`);
    out.payload = b;
  }
}

function decodeIpv4(b: Bytes, out: Decoded): void {
  const ihl = (b[0] as number) & 15;
  if (b.length < 20 || ihl < 5 || b.length < ihl * 4) {
    out.problems.push('ipv4: header cut off');
    out.payload = b;
    return;
  }
  const fragment = read16(b, 6);
  const ip: Ipv4 = {
    version: 4,
    src: formatIp(b.subarray(12, 16)),
    dst: formatIp(b.subarray(16, 20)),
    ttl: b[8] as number,
    tos: b[1] as number,
    id: read16(b, 4),
    df: Boolean(fragment & 0x4000),
    mf: Boolean(fragment & 0x2000),
    offset: (fragment & 0x1fff) * 8,
    protocol: b[9] as number,
    totalLength: read16(b, 2),
    ihl,
    checksum: read16(b, 10),
  };
  if (ihl > 5) ip.options = b.subarray(20, ihl * 4);
  out.ip = ip;
  const total = ip.totalLength as number;
  if (total > b.length) out.problems.push(`ipv4: ${b.length} of ${total} bytes`);
  if (total < ihl * 4) out.problems.push(`ipv4: total length ${total} is less than the header`);
  const end = total >= ihl * 4 && total < b.length ? total : b.length;
  if (end < b.length) out.trailer = b.subarray(end);
  decodeTransport(b.subarray(ihl * 4, end), ip.protocol as number, (ip.offset as number) > 0, out);
}

function decodeIpv6(b: Bytes, out: Decoded): void {
  if (b.length < 40) {
    out.problems.push('ipv6: header cut off');
    out.payload = b;
    return;
  }
  const ip: Ipv6 = {
    version: 6,
    src: formatIp(b.subarray(8, 24)),
    dst: formatIp(b.subarray(24, 40)),
    hopLimit: b[7] as number,
    trafficClass: (read16(b, 0) >> 4) & 255,
    flowLabel: read32(b, 0) & 0xfffff,
    payloadLength: read16(b, 4),
  };
  out.ip = ip;
  const total = 40 + (ip.payloadLength as number);
  if (total > b.length) out.problems.push(`ipv6: ${b.length} of ${total} bytes`);
  if (total < b.length) out.trailer = b.subarray(total);
  const body = b.subarray(40, Math.min(total, b.length));
  const extensions: Ipv6Extension[] = [];
  let next = b[6] as number;
  let at = 0;
  let later = false;
  while (!later && Object.values(EXTENSION).includes(next as never)) {
    const length = next === EXTENSION.fragment ? 8 : ((body[at + 1] ?? 0) + 1) * 8;
    if (at + length > body.length) {
      out.problems.push('ipv6: extension header cut off');
      break;
    }
    const e = decodeExtension(next, body.subarray(at, at + length));
    extensions.push(e);
    later = e.kind === 'fragment' && e.offset > 0;
    next = body[at] as number;
    at += length;
  }
  if (extensions.length > 0) ip.extensions = extensions;
  ip.protocol = next;
  decodeTransport(body.subarray(at), next, later, out);
}

function decodeExtension(type: number, b: Bytes): Ipv6Extension {
  if (type === EXTENSION.fragment) {
    const offset = read16(b, 2);
    return { kind: 'fragment', id: read32(b, 4), offset: offset & 0xfff8, mf: Boolean(offset & 1) };
  }
  if (type === EXTENSION.routing) {
    return { kind: 'routing', type: b[2] as number, segmentsLeft: b[3] as number, data: b.subarray(4) };
  }
  return { kind: type === EXTENSION.destination ? 'destination' : 'hop-by-hop', options: b.subarray(2) };
}

const MINIMUM: Record<number, number> = {
  [PROTOCOL.tcp]: 20,
  [PROTOCOL.udp]: 8,
  [PROTOCOL.sctp]: 12,
  [PROTOCOL.icmp]: 8,
  [PROTOCOL.icmp6]: 8,
};

function decodeTransport(b: Bytes, protocol: number, laterFragment: boolean, out: Decoded): void {
  const version = (out.ip as Ipv4 | Ipv6).version;
  const minimum = MINIMUM[protocol];
  const foreign = protocol === (version === 4 ? PROTOCOL.icmp6 : PROTOCOL.icmp);
  if (minimum === undefined || foreign || laterFragment || b.length < minimum) {
    if (minimum !== undefined && !foreign && !laterFragment) out.problems.push('transport: header cut off');
    out.l4 = { kind: 'raw', protocol };
    out.payload = b;
    return;
  }
  const [l4, length] = transportHeader(b, protocol);
  if (length > b.length || length < minimum) out.problems.push('tcp: data offset is wrong');
  out.l4 = l4;
  const payload = b.subarray(length);
  if (l4.kind === 'icmp' && isIcmpError(version, l4.type) && payload.length >= 20) {
    const { problems: _cut, ...quoted } = decodeIp(payload);
    out.quoted = quoted;
  } else {
    out.payload = payload;
  }
}

function transportHeader(b: Bytes, protocol: number): [Transport, number] {
  const ports = { sport: read16(b, 0), dport: read16(b, 2) };
  if (protocol === PROTOCOL.udp) {
    return [{ kind: 'udp', ...ports, length: read16(b, 4), checksum: read16(b, 6) }, 8];
  }
  if (protocol === PROTOCOL.sctp) {
    return [{ kind: 'sctp', ...ports, tag: read32(b, 4), checksum: read32(b, 8) }, 12];
  }
  if (protocol === PROTOCOL.tcp) {
    const words = (b[12] as number) >> 4;
    const l4: Transport = {
      kind: 'tcp',
      ...ports,
      seq: read32(b, 4),
      ack: read32(b, 8),
      flags: [...TCP_FLAGS].filter((_, i) => (b[13] as number) & (1 << i)).join(''),
      window: read16(b, 14),
      checksum: read16(b, 16),
      urgent: read16(b, 18),
      dataOffset: words,
    };
    if (words > 5 && b.length >= words * 4) l4.options = b.subarray(20, words * 4);
    return [l4, Math.max(words, 5) * 4];
  }
  const icmp: Transport = {
    kind: 'icmp',
    type: b[0] as number,
    code: b[1] as number,
    checksum: read16(b, 2),
    rest: read32(b, 4),
  };
  return [icmp, 8];
}
