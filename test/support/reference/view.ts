// What the reference sees of a frame: decode() of the test library, and where things are in it.
import { type Bytes, decode, type Ipv4, type Ipv6, PROTOCOL, read16 } from '../packet/index.js';
import type { Ends } from './types.js';

export const ETH = 14;

export interface View {
  frame: Bytes;
  family: 4 | 6;
  kind: 'ports' | 'later-fragment' | 'icmp';
  proto: number;
  /** Ports are 0 where the packet has none, until a fragment's are found. */
  ends: Ends;
  /** Offset of the transport header and of the end of the IP packet, from the frame's start. */
  l4: number;
  end: number;
  ttl: number;
  /** May routers cut it? */
  dontFragment: boolean;
  firstFragment: boolean;
  fragmentId: number;
  /** No options, extension headers, fragments. */
  plain: boolean;
  /** TCP: letters of FSRPAUEC. */
  flags: string;
  seq: number;
  ack: number;
  tcpHeader: number;
  /** SCTP: type of the first chunk. */
  chunk: number;
}

const WITH_PORTS: number[] = [PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.sctp];

// The receiver judges a TCP header; a total length of 0 is that of a packet of many segments.
const HARMLESS = /^tcp: data offset|^ipv4: total length 0 /;

/** Undefined: not IP, a protocol without ports, or malformed. All of that is not for us to judge. */
export function look(frame: Bytes): View | undefined {
  const p = decode(frame);
  if (!p.ip || !p.eth || p.eth.vlan || p.problems.some((x) => !HARMLESS.test(x))) return;
  if (p.eth.type !== (p.ip.version === 4 ? 0x0800 : 0x86dd)) return;
  const l3 = p.ip.version === 4 ? lookAt4(p.ip) : lookAt6(p.ip);
  const end = frame.length - (p.trailer?.length ?? 0);
  const proto = p.ip.protocol as number;
  const v: View = {
    frame,
    family: p.ip.version,
    kind: l3.later ? 'later-fragment' : 'ports',
    proto,
    ends: { src: p.ip.src, sport: 0, dst: p.ip.dst, dport: 0 },
    l4: ETH + l3.length,
    end,
    ttl: l3.ttl,
    dontFragment: l3.df,
    firstFragment: l3.mf && !l3.later,
    fragmentId: l3.id,
    plain: l3.plain,
    flags: '',
    seq: 0,
    ack: 0,
    tcpHeader: 0,
    chunk: -1,
  };
  if (proto === (v.family === 4 ? PROTOCOL.icmp : PROTOCOL.icmp6)) {
    if (l3.later || l3.mf || (v.family === 6 && !v.plain)) return;
    return { ...v, kind: 'icmp' };
  }
  if (!WITH_PORTS.includes(proto)) return;
  if (l3.later) return v;
  const l4 = p.l4;
  if (!l4 || !('sport' in l4)) return;
  v.ends.sport = l4.sport;
  v.ends.dport = l4.dport;
  if (l4.kind === 'tcp') {
    v.flags = l4.flags;
    v.seq = l4.seq ?? 0;
    v.ack = l4.ack ?? 0;
    v.tcpHeader = (l4.dataOffset ?? 0) * 4;
  }
  if (l4.kind === 'sctp') {
    if (end <= v.l4 + 12) return;
    v.chunk = frame[v.l4 + 12] as number;
  }
  return v;
}

interface Layer3 {
  length: number;
  later: boolean;
  mf: boolean;
  df: boolean;
  id: number;
  plain: boolean;
  ttl: number;
}

function lookAt4(ip: Ipv4): Layer3 {
  const later = (ip.offset ?? 0) > 0;
  const mf = ip.mf ?? false;
  return {
    length: (ip.ihl ?? 5) * 4,
    later,
    mf,
    df: ip.df ?? false,
    id: ip.id ?? 0,
    plain: ip.ihl === 5 && !later && !mf,
    ttl: ip.ttl ?? 0,
  };
}

function lookAt6(ip: Ipv6): Layer3 {
  let length = 40;
  const out: Layer3 = {
    length,
    later: false,
    mf: false,
    df: true,
    id: 0,
    plain: true,
    ttl: ip.hopLimit ?? 0,
  };
  for (const e of ip.extensions ?? []) {
    out.plain = false;
    length +=
      e.kind === 'fragment' ? 8 : e.kind === 'routing' ? e.data.length + 4 : (e.options?.length ?? 0) + 2;
    if (e.kind === 'fragment') {
      out.later = e.offset > 0;
      out.mf = e.mf;
      out.id = e.id;
    }
  }
  out.length = length;
  return out;
}

/** The packet that an ICMP error quotes, as far as an error can be matched by it. */
export interface Quote {
  proto: number;
  ends: Ends;
  l3: number;
  l4: number;
}

export function quoteOf(v: View): Quote | undefined {
  const type = v.frame[v.l4] as number;
  const isError = v.family === 4 ? [3, 11, 12].includes(type) : type >= 1 && type <= 4;
  if (!isError) return;
  const l3 = v.l4 + 8;
  const p = decode(
    Uint8Array.of(
      ...v.frame.subarray(0, 12),
      ...(v.family === 4 ? [8, 0] : [0x86, 0xdd]),
      ...v.frame.subarray(l3),
    ),
  );
  const ip = p.ip;
  if (!ip || ip.version !== v.family || (ip.version === 4 && (ip.offset ?? 0) > 0)) return;
  // A sender that cut its datagram up is told about the first part.
  const isFirstFragment =
    ip.version === 6 &&
    v.frame[l3 + 6] === 44 &&
    l3 + 48 <= v.end &&
    (read16(v.frame, l3 + 42) & 0xfff8) === 0;
  if (ip.version === 6 && ip.extensions && !isFirstFragment) return;
  const proto = (isFirstFragment ? v.frame[l3 + 40] : ip.protocol) as number;
  const l4 = l3 + (ip.version === 4 ? (ip.ihl ?? 5) * 4 : isFirstFragment ? 48 : 40);
  if (!WITH_PORTS.includes(proto) || l4 + 4 > v.end) return;
  return {
    proto,
    ends: { src: ip.src, sport: read16(v.frame, l4), dst: ip.dst, dport: read16(v.frame, l4 + 2) },
    l3,
    l4,
  };
}
