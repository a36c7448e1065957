import { isIPv4, isIPv6 } from 'node:net';

export type Bytes = Uint8Array;

export function concat(...parts: Bytes[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export const u8 = (...values: number[]): Bytes => Uint8Array.from(values);
/** Network byte order. */
export const u16 = (v: number): Bytes => u8((v >>> 8) & 255, v & 255);
/** Network byte order. */
export const u32 = (v: number): Bytes => u8((v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255);

export const read16 = (b: Bytes, at: number): number => ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
export const read32 = (b: Bytes, at: number): number => ((read16(b, at) << 16) | read16(b, at + 2)) >>> 0;

export const text = (s: string): Bytes => new TextEncoder().encode(s);
export const toHex = (b: Bytes): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');

/** Bytes from hex digits; white space is ignored. Throws on anything else. */
export function hex(s: string): Bytes {
  const digits = s.replace(/\s+/g, '');
  if (digits.length % 2 || /[^0-9a-fA-F]/.test(digits)) throw new Error(`read hex: not hex digits: ${s}`);
  return Uint8Array.from(digits.match(/../g) ?? [], (d) => Number.parseInt(d, 16));
}

export const equal = (a: Bytes, b: Bytes): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

export const parseMac = (mac: string): Bytes => hex(mac.replaceAll(':', ''));
export const formatMac = (b: Bytes): string => (toHex(b.subarray(0, 6)).match(/../g) ?? []).join(':');

/** 4 or 16 bytes, network order. */
export function parseIp(ip: string): Bytes {
  if (isIPv4(ip)) return Uint8Array.from(ip.split('.'), Number);
  if (!isIPv6(ip)) throw new Error(`read address: '${ip}' is not an IP address`);
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(ip);
  let groups = ip;
  if (tail) {
    const v4 = parseIp(tail[2] as string);
    groups = `${tail[1]}${read16(v4, 0).toString(16)}:${read16(v4, 2).toString(16)}`;
  }
  const [head, rest] = groups.split('::') as [string, string | undefined];
  const left = head === '' ? [] : head.split(':');
  const right = rest === undefined || rest === '' ? [] : rest.split(':');
  const zeros = rest === undefined ? 0 : 8 - left.length - right.length;
  const words = [...left, ...new Array<string>(zeros).fill('0'), ...right];
  return concat(...words.map((w) => u16(Number.parseInt(w, 16))));
}

/** Canonical text (RFC 5952) of 4 or 16 bytes. */
export function formatIp(b: Bytes): string {
  if (b.length === 4) return Array.from(b).join('.');
  const words = Array.from({ length: 8 }, (_, i) => read16(b, i * 2));
  let best = { at: -1, n: 1 };
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && words[i + n] === 0) n++;
    if (n > best.n) best = { at: i, n };
  }
  const part = (from: number, to: number) =>
    words
      .slice(from, to)
      .map((w) => w.toString(16))
      .join(':');
  return best.at < 0 ? part(0, 8) : `${part(0, best.at)}::${part(best.at + best.n, 8)}`;
}

export interface Endpoint {
  ip: string;
  port: number;
}

/** `10.0.0.1:80` or `[fd00::1]:80`; without a port the port is 0. */
export function parseEndpoint(s: string): Endpoint {
  const m = /^\[([^\]]+)\](?::(\d+))?$/.exec(s) ?? /^([^:]+)(?::(\d+))?$/.exec(s);
  const ip = m?.[1] ?? s;
  if (!isIPv4(ip) && !isIPv6(ip)) throw new Error(`read endpoint: '${s}' is not address:port`);
  return { ip, port: Number(m?.[2] ?? 0) };
}
