// Written from the RFCs alone, so that a mistake in the data path is not repeated here.
import { type Bytes, concat, read16, u8, u16, u32 } from './bytes.js';

/** RFC 1071: one's complement of the one's complement sum; 0 over data that contains a right sum. */
export function internetChecksum(data: Bytes): number {
  let sum = 0;
  for (let i = 0; i + 1 < data.length; i += 2) sum += read16(data, i);
  if (data.length % 2) sum += (data[data.length - 1] as number) << 8;
  while (sum > 0xffff) sum = Math.floor(sum / 0x10000) + (sum & 0xffff);
  return ~sum & 0xffff;
}

/** RFC 793 (4-byte addresses) or RFC 8200 section 8.1 (16-byte addresses). */
export function pseudoHeader(src: Bytes, dst: Bytes, protocol: number, length: number): Bytes {
  return src.length === 4
    ? concat(src, dst, u8(0, protocol), u16(length))
    : concat(src, dst, u32(length), u8(0, 0, 0, protocol));
}

/** Sum of a TCP, UDP or ICMPv6 segment whose checksum field is zero. */
export function transportChecksum(src: Bytes, dst: Bytes, protocol: number, segment: Bytes): number {
  return internetChecksum(concat(pseudoHeader(src, dst, protocol, segment.length), segment));
}

/** RFC 9260 appendix A, one bit at a time. */
export function crc32c(data: Bytes): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** The field of an SCTP packet whose checksum field is zero, as it reads in network order. */
export function sctpChecksum(packet: Bytes): number {
  const c = crc32c(packet);
  return (((c & 255) << 24) | ((c & 0xff00) << 8) | ((c >>> 8) & 0xff00) | (c >>> 24)) >>> 0;
}
