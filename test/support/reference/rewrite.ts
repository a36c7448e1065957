// Rewriting of packets, from the RFCs: sums change by the difference of the words they cover, so that
// a wrong one stays wrong by as much.
import {
  type Bytes,
  build,
  crc32c,
  formatMac,
  type Packet,
  PROTOCOL,
  parseIp,
  parseMac,
  read16,
  read32,
  u16,
  u32,
} from '../packet/index.js';
import type { Ends } from './types.js';
import { ETH, type Quote, type View } from './view.js';

/** RFC 1624, equation 3. */
function adjust(sum: number, before: Bytes, after: Bytes): number {
  let s = ~sum & 0xffff;
  for (let i = 0; i < before.length; i += 2) {
    s += (~read16(before, i) & 0xffff) + read16(after, i);
    s = (s & 0xffff) + (s >>> 16);
  }
  return ~((s & 0xffff) + (s >>> 16)) & 0xffff;
}

const put = (b: Bytes, at: number, value: Bytes): void => b.set(value, at);

function addressBytes(src: string, dst: string): Bytes {
  return Uint8Array.of(...parseIp(src), ...parseIp(dst));
}

/** Addresses of an IP header at l3, with its own checksum. */
function putAddresses(b: Bytes, l3: number, family: 4 | 6, e: Ends): { before: Bytes; after: Bytes } {
  const at = l3 + (family === 4 ? 12 : 8);
  const after = addressBytes(e.src, e.dst);
  const before = b.slice(at, at + after.length);
  put(b, at, after);
  if (family === 4) put(b, l3 + 10, u16(adjust(read16(b, l3 + 10), before, after)));
  return { before, after };
}

const portBytes = (e: Ends): Bytes => Uint8Array.of(...u16(e.sport), ...u16(e.dport));

/** The packet between other ends. */
export function readdressed(v: View, to: Ends): Bytes {
  const b = v.frame.slice();
  const { before, after } = putAddresses(b, ETH, v.family, to);
  if (v.kind === 'later-fragment') return b;
  const [was, now] = [portBytes(v.ends), portBytes(to)];
  if (v.proto === PROTOCOL.sctp) {
    const crc = read32(b, v.l4 + 8);
    if (crc !== 0 && read32(was, 0) !== read32(now, 0)) {
      const segment = b.slice(v.l4, v.end);
      put(segment, 8, u32(0));
      const old = crc32c(segment);
      put(segment, 0, now);
      const change = (old ^ crc32c(segment)) >>> 0;
      const bytes = u32(change).reverse();
      for (let i = 0; i < 4; i++) b[v.l4 + 8 + i] = (b[v.l4 + 8 + i] as number) ^ (bytes[i] as number);
    }
  } else {
    const at = v.l4 + (v.proto === PROTOCOL.tcp ? 16 : 6);
    const none = v.proto === PROTOCOL.udp && read16(b, at) === 0;
    if (!none) {
      const sum = adjust(read16(b, at), Uint8Array.of(...before, ...was), Uint8Array.of(...after, ...now));
      put(b, at, u16(v.proto === PROTOCOL.udp && sum === 0 ? 0xffff : sum));
    }
  }
  put(b, v.l4, now);
  return b;
}

/** Bytes 0..11. */
export const withMacs = (b: Bytes, macs: { dst: string; src: string }): Bytes => {
  const out = b.slice();
  put(out, 0, parseMac(macs.dst));
  put(out, 6, parseMac(macs.src));
  return out;
};

export const swappedMacs = (b: Bytes): Bytes =>
  withMacs(b, { dst: formatMac(b.subarray(6)), src: formatMac(b) });

export function withTtl(b: Bytes, family: 4 | 6, ttl: number): Bytes {
  const out = b.slice();
  if (family === 6) {
    out[ETH + 7] = ttl;
    return out;
  }
  const before = out.slice(ETH + 8, ETH + 10);
  out[ETH + 8] = ttl;
  put(out, ETH + 10, u16(adjust(read16(out, ETH + 10), before, out.subarray(ETH + 8, ETH + 10))));
  return out;
}

/** An ICMP error whose quoted packet gets `quote` for its ends, and itself other addresses. */
export function readdressedError(v: View, q: Quote, quote: Ends, outer: { src: string; dst: string }): Bytes {
  const b = v.frame.slice();
  const inner = putAddresses(b, q.l3, v.family, quote);
  const [was, now] = [portBytes(q.ends), portBytes(quote)];
  put(b, q.l4, now);
  const at = q.l4 + (q.proto === PROTOCOL.tcp ? 16 : 6);
  if (q.proto !== PROTOCOL.sctp && at + 2 <= v.end) {
    const sum = read16(b, at);
    if (q.proto === PROTOCOL.tcp || sum !== 0) {
      const next = adjust(sum, Uint8Array.of(...inner.before, ...was), Uint8Array.of(...inner.after, ...now));
      put(b, at, u16(q.proto === PROTOCOL.udp && next === 0 ? 0xffff : next));
    }
  }
  // The message as the sum covers it: an odd last byte never changes.
  const even = v.l4 + ((v.end - v.l4) & ~1);
  let sum = adjust(read16(b, v.l4 + 2), v.frame.subarray(v.l4 + 4, even), b.subarray(v.l4 + 4, even));
  const moved = putAddresses(b, ETH, v.family, { ...quote, ...outer });
  if (v.family === 6) sum = adjust(sum, moved.before, moved.after);
  put(b, v.l4 + 2, u16(sum));
  return b;
}

/** The reply to an echo request. */
export function echoReply(v: View): Bytes {
  let b: Bytes = v.frame.slice();
  const before = b.slice(v.l4, v.l4 + 2);
  b[v.l4] = v.family === 4 ? 0 : 129;
  put(b, v.l4 + 2, u16(adjust(read16(b, v.l4 + 2), before, b.subarray(v.l4, v.l4 + 2))));
  putAddresses(b, ETH, v.family, { src: v.ends.dst, dst: v.ends.src, sport: 0, dport: 0 });
  b = withTtl(b, v.family, 64);
  return swappedMacs(b);
}

function answer(v: View, rest: Partial<Packet>): Bytes {
  const ip = { src: v.ends.dst, dst: v.ends.src };
  return build({
    eth: { dst: formatMac(v.frame.subarray(6)), src: formatMac(v.frame) },
    ip:
      v.family === 4 ? { version: 4, ...ip, ttl: 64, id: 0, df: true } : { version: 6, ...ip, hopLimit: 64 },
    ...rest,
  });
}

/** RFC 9293, 3.5.2. Undefined: the header contradicts itself. */
export function reset(v: View): Bytes | undefined {
  const payload = v.end - v.l4 - v.tcpHeader;
  if (v.tcpHeader < 20 || payload < 0) return;
  const ports = { sport: v.ends.dport, dport: v.ends.sport, window: 0 };
  const length = payload + (v.flags.includes('S') ? 1 : 0) + (v.flags.includes('F') ? 1 : 0);
  return answer(v, {
    l4: v.flags.includes('A')
      ? { kind: 'tcp', ...ports, flags: 'R', seq: v.ack }
      : { kind: 'tcp', ...ports, flags: 'RA', ack: (v.seq + length) >>> 0 },
  });
}

const QUOTED = 128;

/** mtu: packet too big; else port unreachable. */
export function icmpAnswer(v: View, mtu?: number): Bytes {
  const [type, code] = v.family === 4 ? (mtu ? [3, 4] : [3, 3]) : mtu ? ([2, 0] as const) : ([1, 4] as const);
  const payload = v.frame.slice(ETH, Math.min(v.end, ETH + QUOTED));
  return answer(v, {
    l4: { kind: 'icmp', type: type as number, code: code as number, rest: mtu ?? 0 },
    payload,
  });
}
