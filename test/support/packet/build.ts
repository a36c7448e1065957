import { type Bytes, concat, parseIp, parseMac, u8, u16, u32 } from './bytes.js';
import { internetChecksum, sctpChecksum, transportChecksum } from './checksum.js';
import {
  ETHERTYPE,
  type Ethernet,
  EXTENSION,
  type Ipv4,
  type Ipv6,
  type Ipv6Extension,
  type Packet,
  PROTOCOL,
  TCP_FLAGS,
  type Transport,
} from './spec.js';

const NOTHING = new Uint8Array(0);

/** The bytes of a packet, from its Ethernet header (when it has one) to its trailer. */
export function build(p: Packet): Bytes {
  const network = p.ip ? buildNetwork(p, p.ip) : (p.payload ?? NOTHING);
  const frame = p.eth ? concat(buildEthernet(p.eth, p.ip?.version), network) : network;
  return p.trailer ? concat(frame, p.trailer) : frame;
}

function buildEthernet(eth: Ethernet, version: 4 | 6 | undefined): Bytes {
  const type = eth.type ?? (version === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6);
  const tags = (eth.vlan ?? []).map((t) =>
    concat(u16(t.tpid ?? ETHERTYPE.vlan), u16(((t.priority ?? 0) << 13) | t.id)),
  );
  return concat(parseMac(eth.dst), parseMac(eth.src), ...tags, u16(type));
}

function buildNetwork(p: Packet, ip: Ipv4 | Ipv6): Bytes {
  const protocol = ip.protocol ?? (p.l4 ? protocolOf(p.l4, ip.version) : 59);
  const body = p.l4 ? buildTransport(p, p.l4, ip) : (p.payload ?? NOTHING);
  return ip.version === 4 ? buildIpv4(ip, protocol, body) : buildIpv6(ip, protocol, body);
}

export function protocolOf(l4: Transport, version: 4 | 6): number {
  if (l4.kind === 'raw') return l4.protocol;
  if (l4.kind === 'icmp') return version === 4 ? PROTOCOL.icmp : PROTOCOL.icmp6;
  return PROTOCOL[l4.kind];
}

const pad = (b: Bytes, unit: number): Bytes => concat(b, new Uint8Array((unit - (b.length % unit)) % unit));

function buildIpv4(ip: Ipv4, protocol: number, body: Bytes): Bytes {
  const options = pad(ip.options ?? NOTHING, 4);
  const fragment = Boolean(ip.mf) || Boolean(ip.offset);
  const flags = ((ip.df ?? !fragment) ? 0x4000 : 0) | (ip.mf ? 0x2000 : 0) | ((ip.offset ?? 0) >> 3);
  const header = concat(
    u8(0x40 | (ip.ihl ?? 5 + options.length / 4), ip.tos ?? 0),
    u16(ip.totalLength ?? 20 + options.length + body.length),
    u16(ip.id ?? 0x1234),
    u16(flags),
    u8(ip.ttl ?? 64, protocol),
    u16(ip.checksum ?? 0),
    parseIp(ip.src),
    parseIp(ip.dst),
    options,
  );
  if (ip.checksum === undefined) header.set(u16(internetChecksum(header)), 10);
  return concat(header, body);
}

function buildIpv6(ip: Ipv6, protocol: number, body: Bytes): Bytes {
  const extensions = ip.extensions ?? [];
  const kinds = [...extensions.map((e) => EXTENSION[e.kind] as number), protocol];
  const chain = concat(...extensions.map((e, i) => buildExtension(e, kinds[i + 1] as number)));
  const header = concat(
    u32((6 << 28) | ((ip.trafficClass ?? 0) << 20) | (ip.flowLabel ?? 0)),
    u16(ip.payloadLength ?? chain.length + body.length),
    u8(kinds[0] as number, ip.hopLimit ?? 64),
    parseIp(ip.src),
    parseIp(ip.dst),
  );
  return concat(header, chain, body);
}

function buildExtension(e: Ipv6Extension, next: number): Bytes {
  if (e.kind === 'fragment') return concat(u8(next, 0), u16(e.offset | (e.mf ? 1 : 0)), u32(e.id));
  const content = e.kind === 'routing' ? concat(u8(e.type, e.segmentsLeft), e.data) : (e.options ?? NOTHING);
  const short = (8 - ((content.length + 2) % 8)) % 8;
  const filler =
    e.kind === 'routing'
      ? new Uint8Array(short)
      : concat(u8(1, short - 2), new Uint8Array(8)).subarray(0, short);
  if (short === 1) filler.fill(0);
  return concat(u8(next, e.length ?? (content.length + 2 + short) / 8 - 1), content, filler);
}

export function withoutEthernet(p: Packet): Packet {
  const { eth: _eth, ...rest } = p;
  return rest;
}

const isFragment = (ip: Ipv4 | Ipv6): boolean =>
  ip.version === 4
    ? Boolean(ip.mf) || Boolean(ip.offset)
    : (ip.extensions ?? []).some((e) => e.kind === 'fragment' && (e.mf || e.offset > 0));

function buildTransport(p: Packet, l4: Transport, ip: Ipv4 | Ipv6): Bytes {
  const payload = p.quoted ? build(withoutEthernet(p.quoted)) : (p.payload ?? NOTHING);
  const body = p.quotedBytes === undefined ? payload : payload.subarray(0, p.quotedBytes);
  const [src, dst] = [parseIp(ip.src), parseIp(ip.dst)];
  const sum = (segment: Bytes) => transportChecksum(src, dst, protocolOf(l4, ip.version), segment);
  // The sum of a fragmented datagram covers bytes that this packet lacks: see fragment().
  if (isFragment(ip) && l4.kind !== 'raw' && l4.checksum === undefined) {
    throw new Error('build packet: the checksum of a fragment must be given. Use fragment().');
  }
  switch (l4.kind) {
    case 'raw':
      return body;
    case 'tcp': {
      const options = pad(l4.options ?? NOTHING, 4);
      const words = l4.dataOffset ?? 5 + options.length / 4;
      const segment = concat(
        u16(l4.sport),
        u16(l4.dport),
        u32(l4.seq ?? 0),
        u32(l4.ack ?? 0),
        u8(words << 4, flagBits(l4.flags)),
        u16(l4.window ?? 65535),
        u16(l4.checksum ?? 0),
        u16(l4.urgent ?? 0),
        options,
        body,
      );
      if (l4.checksum === undefined) segment.set(u16(sum(segment)), 16);
      return segment;
    }
    case 'udp': {
      const length = l4.length ?? 8 + body.length;
      const segment = concat(u16(l4.sport), u16(l4.dport), u16(length), u16(l4.checksum ?? 0), body);
      // RFC 768: a computed zero is sent as all ones.
      if (l4.checksum === undefined) segment.set(u16(sum(segment) || 0xffff), 6);
      return segment;
    }
    case 'sctp': {
      const segment = concat(u16(l4.sport), u16(l4.dport), u32(l4.tag), u32(l4.checksum ?? 0), body);
      if (l4.checksum === undefined) segment.set(u32(sctpChecksum(segment)), 8);
      return segment;
    }
    case 'icmp': {
      const segment = concat(u8(l4.type, l4.code), u16(l4.checksum ?? 0), u32(l4.rest ?? 0), body);
      const right = () => (ip.version === 4 ? internetChecksum(segment) : sum(segment));
      if (l4.checksum === undefined) segment.set(u16(right()), 2);
      return segment;
    }
  }
}

export function flagBits(letters: string): number {
  let bits = 0;
  for (const letter of letters) {
    const at = TCP_FLAGS.indexOf(letter);
    if (at < 0) throw new Error(`build packet: '${letter}' is not a TCP flag`);
    bits |= 1 << at;
  }
  return bits;
}
