// Short ways to write the packets that tests need. Endpoints are '10.0.0.1:80' or '[fd00::1]:80'.
import { isIPv6 } from 'node:net';
import { build, protocolOf, withoutEthernet } from './build.js';
import { type Bytes, parseEndpoint, text } from './bytes.js';
import type { Ethernet, Icmp, Ipv4, Ipv6, Packet, Sctp, Tcp, Transport, Udp } from './spec.js';

export interface Common {
  eth?: Ethernet;
  payload?: string | Bytes;
  /** TTL or hop limit. */
  ttl?: number;
  /** Further fields of the IP header, of whichever version the addresses are. */
  ip?: Partial<Omit<Ipv4, 'version' | 'src' | 'dst'>> & Partial<Omit<Ipv6, 'version' | 'src' | 'dst'>>;
}

export const DEFAULT_ETHERNET: Ethernet = { dst: '02:00:00:00:00:01', src: '02:00:00:00:00:02' };

function network(src: string, dst: string, o: Common): Ipv4 | Ipv6 {
  const six = isIPv6(src);
  if (six !== isIPv6(dst)) throw new Error(`build packet: ${src} and ${dst} are of two families`);
  const ttl = o.ttl === undefined ? {} : six ? { hopLimit: o.ttl } : { ttl: o.ttl };
  return { version: six ? 6 : 4, src, dst, ...ttl, ...o.ip } as Ipv4 | Ipv6;
}

function packet(src: string, dst: string, l4: Transport, o: Common): Packet {
  const payload = typeof o.payload === 'string' ? text(o.payload) : o.payload;
  return {
    eth: o.eth ?? DEFAULT_ETHERNET,
    ip: network(src, dst, o),
    l4,
    ...(payload ? { payload } : {}),
  };
}

export type TcpOptions = Common & Partial<Omit<Tcp, 'kind' | 'sport' | 'dport'>>;
export type UdpOptions = Common & Partial<Omit<Udp, 'kind' | 'sport' | 'dport'>>;

/** `tcp('10.0.0.1:4000', '10.0.0.2:80', { flags: 'S' })`; flags default to A. */
export function tcp(from: string, to: string, o: TcpOptions = {}): Packet {
  const [src, dst] = [parseEndpoint(from), parseEndpoint(to)];
  const { eth: _e, payload: _p, ttl: _t, ip: _i, ...fields } = o;
  return packet(src.ip, dst.ip, { kind: 'tcp', flags: 'A', ...fields, sport: src.port, dport: dst.port }, o);
}

export function udp(from: string, to: string, o: UdpOptions = {}): Packet {
  const [src, dst] = [parseEndpoint(from), parseEndpoint(to)];
  const { eth: _e, payload: _p, ttl: _t, ip: _i, ...fields } = o;
  return packet(src.ip, dst.ip, { kind: 'udp', ...fields, sport: src.port, dport: dst.port }, o);
}

/** Payload: chunks, as bytes. Default: a COOKIE ACK chunk. */
export function sctp(from: string, to: string, o: Common & { tag?: number; checksum?: number } = {}): Packet {
  const [src, dst] = [parseEndpoint(from), parseEndpoint(to)];
  const l4: Sctp = { kind: 'sctp', sport: src.port, dport: dst.port, tag: o.tag ?? 0x01020304 };
  if (o.checksum !== undefined) l4.checksum = o.checksum;
  return packet(src.ip, dst.ip, l4, { payload: Uint8Array.of(11, 0, 0, 4), ...o });
}

export function echo(
  src: string,
  dst: string,
  o: Common & { id?: number; seq?: number; reply?: boolean } = {},
): Packet {
  const six = isIPv6(src);
  const type = six ? (o.reply ? 129 : 128) : o.reply ? 0 : 8;
  const rest = (((o.id ?? 1) << 16) | (o.seq ?? 1)) >>> 0;
  return packet(src, dst, { kind: 'icmp', type, code: 0, rest }, o);
}

export type IcmpErrorKind =
  | 'port-unreachable'
  | 'host-unreachable'
  | 'too-big'
  | 'time-exceeded'
  | 'parameter'
  | 'redirect';

const ERRORS: Record<IcmpErrorKind, { 4: [number, number]; 6: [number, number] }> = {
  'port-unreachable': { 4: [3, 3], 6: [1, 4] },
  'host-unreachable': { 4: [3, 1], 6: [1, 3] },
  'too-big': { 4: [3, 4], 6: [2, 0] },
  'time-exceeded': { 4: [11, 0], 6: [3, 0] },
  parameter: { 4: [12, 0], 6: [4, 0] },
  redirect: { 4: [5, 1], 6: [137, 0] },
};

/** `about` is quoted without its Ethernet header, cut to `quotedBytes` (all). `rest`: the MTU of too-big. */
export function icmpError(
  kind: IcmpErrorKind,
  src: string,
  dst: string,
  about: Packet,
  o: Common & { rest?: number; quotedBytes?: number; code?: number } = {},
): Packet {
  const six = isIPv6(src);
  const [type, code] = ERRORS[kind][six ? 6 : 4];
  const l4: Icmp = { kind: 'icmp', type, code: o.code ?? code, rest: o.rest ?? 0 };
  return {
    ...packet(src, dst, l4, o),
    quoted: withoutEthernet(about),
    ...(o.quotedBytes === undefined ? {} : { quotedBytes: o.quotedBytes }),
  };
}

/** The same packet between other endpoints; fields that were computed are computed anew. */
export function readdress(p: Packet, o: { src?: string; dst?: string; eth?: Ethernet }): Packet {
  if (!p.ip) throw new Error('readdress packet: it has no IP header');
  const ports = p.l4 && 'sport' in p.l4 ? p.l4 : undefined;
  const change = (given: string | undefined, ip: string, port: number | undefined) => {
    const e = given === undefined ? { ip, port: port ?? 0 } : parseEndpoint(given);
    return { ip: e.ip, port: e.port === 0 ? (port ?? 0) : e.port };
  };
  const src = change(o.src, p.ip.src, ports?.sport);
  const dst = change(o.dst, p.ip.dst, ports?.dport);
  const out: Packet = { ...p, ip: { ...p.ip, src: src.ip, dst: dst.ip } as Ipv4 | Ipv6 };
  if (ports) out.l4 = { ...ports, sport: src.port, dport: dst.port };
  if (o.eth) out.eth = o.eth;
  return out;
}

/** TTL or hop limit changed by `by` (-1: one router passed). */
export function hop(p: Packet, by = -1): Packet {
  if (!p.ip) throw new Error('hop packet: it has no IP header');
  const ip =
    p.ip.version === 4
      ? { ...p.ip, ttl: (p.ip.ttl ?? 64) + by }
      : { ...p.ip, hopLimit: (p.ip.hopLimit ?? 64) + by };
  return { ...p, ip };
}

/**
 * Cuts a datagram into fragments with at most `size` bytes of IP payload each (a multiple of 8). The
 * transport checksum covers the whole datagram. IPv6 gets fragment headers.
 */
export function fragment(p: Packet, size: number, id = 0x7788): Packet[] {
  if (!p.ip || !p.l4) throw new Error('fragment packet: it needs an IP and a transport header');
  const { ip, l4 } = p;
  const protocol = protocolOf(l4, ip.version);
  const whole = build(withoutEthernet(p));
  const body = whole.subarray(whole.length - transportLength(p));
  const out: Packet[] = [];
  for (let offset = 0; offset < body.length; offset += size) {
    const mf = offset + size < body.length;
    const piece: Ipv4 | Ipv6 =
      ip.version === 4
        ? { ...ip, id, mf, offset, df: false }
        : { ...ip, extensions: [...(ip.extensions ?? []), { kind: 'fragment', id, offset, mf }] };
    out.push({
      ...(p.eth ? { eth: p.eth } : {}),
      ip: piece,
      l4: { kind: 'raw', protocol },
      payload: body.subarray(offset, offset + size),
    });
  }
  return out;
}

function transportLength(p: Packet): number {
  const header =
    p.l4?.kind === 'tcp'
      ? 20 + Math.ceil((p.l4.options?.length ?? 0) / 4) * 4
      : p.l4?.kind === 'sctp'
        ? 12
        : 8;
  return header + (p.payload?.length ?? 0);
}
