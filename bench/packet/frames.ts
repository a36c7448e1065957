/** Frames of the packet bench: Ethernet, IPv4 or IPv6, TCP or UDP, with right checksums. */
import { addrFamily, addrToBytes } from '../../src/abi/index.js';

export type Bytes = Uint8Array;
export type Protocol = 'tcp' | 'udp';

export interface Flow {
  protocol: Protocol;
  src: string;
  sport: number;
  dst: string;
  dport: number;
}

export interface FrameSpec extends Flow {
  dstMac: string;
  srcMac: string;
  /** Letters of FSRPA; TCP only. */
  flags?: string;
  seq?: number;
  ack?: number;
  /** Bytes of TCP options (no-operations), a multiple of 4. Default 12, the size of a timestamp. */
  options?: number;
  /** Bytes. Default 0. */
  payload?: number;
}

export const IP_PROTOCOL: Record<Protocol, number> = { tcp: 6, udp: 17 };
const ETHERNET = 14;
const FLAGS = 'FSRPA';

/** Where things are in a frame. */
export function offsets(family: 4 | 6) {
  const l4 = ETHERNET + (family === 4 ? 20 : 40);
  const size = family === 4 ? 4 : 16;
  const src = ETHERNET + (family === 4 ? 12 : 8);
  // The low 16 bits of an address are what the driver varies.
  return { src, dst: src + size, srcLow: src + size - 2, dstLow: src + 2 * size - 2, l4, sport: l4 };
}

export function buildFrame(f: FrameSpec): Bytes {
  const family = addrFamily(f.src);
  const { src, dst, l4 } = offsets(family);
  const payload = f.payload ?? 0;
  const options = f.options ?? 12;
  const l4Header = f.protocol === 'tcp' ? 20 + options : 8;
  const l4Length = l4Header + payload;
  const frame = new Uint8Array(l4 + l4Length);
  const view = new DataView(frame.buffer);
  frame.set(mac(f.dstMac), 0);
  frame.set(mac(f.srcMac), 6);
  view.setUint16(12, family === 4 ? 0x0800 : 0x86dd);
  if (family === 4) {
    frame.set([0x45, 0], ETHERNET);
    view.setUint16(ETHERNET + 2, 20 + l4Length);
    view.setUint16(ETHERNET + 6, 0x4000);
    frame.set([64, IP_PROTOCOL[f.protocol]], ETHERNET + 8);
  } else {
    frame[ETHERNET] = 0x60;
    view.setUint16(ETHERNET + 4, l4Length);
    frame.set([IP_PROTOCOL[f.protocol], 64], ETHERNET + 6);
  }
  frame.set(address(f.src), src);
  frame.set(address(f.dst), dst);
  if (family === 4) view.setUint16(ETHERNET + 10, fold(sum(frame, ETHERNET, l4)) ^ 0xffff);
  view.setUint16(l4, f.sport);
  view.setUint16(l4 + 2, f.dport);
  let checksumAt = l4 + 6;
  if (f.protocol === 'tcp') {
    checksumAt = l4 + 16;
    view.setUint32(l4 + 4, f.seq ?? 1);
    view.setUint32(l4 + 8, f.ack ?? 0);
    frame[l4 + 12] = (l4Header / 4) << 4;
    frame[l4 + 13] = flagBits(f.flags ?? 'A');
    view.setUint16(l4 + 14, 65535);
    frame.fill(1, l4 + 20, l4 + l4Header);
  } else {
    view.setUint16(l4 + 4, l4Length);
  }
  const pseudo = sum(frame, src, l4) + IP_PROTOCOL[f.protocol] + l4Length;
  view.setUint16(checksumAt, fold(pseudo + sum(frame, l4, frame.length)) ^ 0xffff || 0xffff);
  return frame;
}

/** Addresses and ports of a frame that buildFrame made, possibly translated since. */
export function readFlow(frame: Bytes): Flow {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const family = view.getUint16(12) === 0x0800 ? 4 : 6;
  const { src, dst, l4 } = offsets(family);
  const protocol = frame[family === 4 ? ETHERNET + 9 : ETHERNET + 6] === IP_PROTOCOL.tcp ? 'tcp' : 'udp';
  const text = (at: number) => (family === 4 ? frame.subarray(at, at + 4).join('.') : text6(view, at));
  return {
    protocol,
    src: text(src),
    dst: text(dst),
    sport: view.getUint16(l4),
    dport: view.getUint16(l4 + 2),
  };
}

/** What the far end answers to what it got. */
export function answerTo(got: Flow): Flow {
  return { protocol: got.protocol, src: got.dst, sport: got.dport, dst: got.src, dport: got.sport };
}

/** All eight groups, not compressed: an address like any other. */
function text6(view: DataView, at: number): string {
  return Array.from({ length: 8 }, (_, i) => view.getUint16(at + 2 * i).toString(16)).join(':');
}

function address(text: string): Bytes {
  const bytes = addrToBytes(text);
  return addrFamily(text) === 4 ? bytes.subarray(12) : bytes;
}

function mac(text: string): number[] {
  return text.split(':').map((part) => Number.parseInt(part, 16));
}

function flagBits(letters: string): number {
  const at = { F: 0, S: 1, R: 2, P: 3, A: 4 } as const;
  return [...letters].reduce((bits, letter) => {
    if (!FLAGS.includes(letter)) throw new Error(`build frame: '${letter}' is no TCP flag (EINVAL).`);
    return bits | (1 << at[letter as keyof typeof at]);
  }, 0);
}

function sum(bytes: Bytes, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total += (bytes[i] as number) << (i % 2 === from % 2 ? 8 : 0);
  return total;
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}
