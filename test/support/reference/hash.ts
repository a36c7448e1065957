// MurmurHash3 (32 bit, public domain) over words, and how the data path feeds a tuple to it: the
// choice of a backend and of a SNAT port is the same on every node and in every hook (docs/adr/0002).
import { type Bytes, concat, parseIp, u8 } from '../packet/index.js';
import type { Ends } from './types.js';

const rotate = (v: number, by: number) => (v << by) | (v >>> (32 - by));

function mix(h: number, word: number): number {
  const k = Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotate(h ^ k, 13), 5) + 0xe6546b64) | 0;
}

function finish(h: number): number {
  let v = h;
  v = Math.imul(v ^ (v >>> 16), 0x85ebca6b);
  v = Math.imul(v ^ (v >>> 13), 0xc2b2ae35);
  return (v ^ (v >>> 16)) >>> 0;
}

/** 16 bytes: IPv4 as ::ffff:a.b.c.d. */
export function mapped(ip: string): Bytes {
  const b = parseIp(ip);
  return b.length === 16 ? b : concat(new Uint8Array(10), u8(255, 255), b);
}

/** A big-endian field as a little-endian machine loads it. */
export const swap16 = (v: number): number => ((v & 255) << 8) | (v >>> 8);
export const swap32 = (v: number): number =>
  (((v & 255) << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)) >>> 0;

/** Unsigned 32 bits. */
export function hashEnds(e: Ends, proto: number, seed: number): number {
  const [src, dst] = [new DataView(mapped(e.src).buffer), new DataView(mapped(e.dst).buffer)];
  let h = seed | 0;
  for (let at = 0; at < 16; at += 4) {
    h = mix(h, src.getUint32(at, true));
    h = mix(h, dst.getUint32(at, true));
  }
  h = mix(h, (swap16(e.sport) << 16) | swap16(e.dport));
  return finish(mix(h, proto));
}
