import { type Bytes, formatIp, read16, read32 } from './bytes.js';
import { internetChecksum, sctpChecksum, transportChecksum } from './checksum.js';
import { ETHERTYPE, EXTENSION, isIcmpError, PROTOCOL } from './spec.js';

/**
 * Recomputes every checksum of an Ethernet frame from scratch: IPv4 header, TCP, UDP, SCTP, ICMP,
 * ICMPv6, and those of a packet quoted in an ICMP error as far as it is there. Also compares the
 * lengths in IP and UDP headers with what is there. Returns a sentence for each one that is wrong.
 */
export function verifyChecksums(frame: Bytes): string[] {
  let at = 12;
  while ([ETHERTYPE.vlan as number, 0x88a8].includes(read16(frame, at))) at += 4;
  const type = read16(frame, at);
  const problems: string[] = [];
  if (type === ETHERTYPE.ipv4 || type === ETHERTYPE.ipv6) verifyIp(frame.subarray(at + 2), '', problems);
  return problems;
}

const hex4 = (n: number) => `0x${n.toString(16).padStart(4, '0')}`;

function verifyIp(b: Bytes, where: string, problems: string[]): void {
  const quoted = where !== '';
  if ((b[0] ?? 0) >> 4 === 4) {
    const header = ((b[0] as number) & 15) * 4;
    const total = read16(b, 2);
    if (b.length < header || header < 20) return;
    if (!quoted && total > b.length)
      problems.push(`ipv4 total length is ${total}, there are ${b.length} bytes`);
    if (internetChecksum(b.subarray(0, header)) !== 0) {
      const copy = b.slice(0, header);
      copy.fill(0, 10, 12);
      problems.push(
        `${where}ipv4 header checksum is ${hex4(read16(b, 10))}, should be ${hex4(internetChecksum(copy))}`,
      );
    }
    // Of a fragmented datagram the sum covers what is not here.
    if ((read16(b, 6) & 0x3fff) !== 0 || total > b.length) return;
    const [src, dst] = [b.subarray(12, 16), b.subarray(16, 20)];
    verifyTransport(b.subarray(header, total), b[9] as number, src, dst, where, problems);
  } else if ((b[0] ?? 0) >> 4 === 6 && b.length >= 40) {
    const total = 40 + read16(b, 4);
    if (!quoted && total > b.length) {
      problems.push(`ipv6 payload length is ${total - 40}, there are ${b.length - 40} bytes`);
    }
    if (total > b.length) return;
    let next = b[6] as number;
    let at = 40;
    while (Object.values(EXTENSION).includes(next as never) && at + 8 <= total) {
      if (next === EXTENSION.fragment && (read16(b, at + 2) & 0xfff9) !== 0) return;
      // On the way to its final destination the packet carries another address than it was summed with.
      if (next === EXTENSION.routing && b[at + 3] !== 0) return;
      const length = next === EXTENSION.fragment ? 8 : ((b[at + 1] as number) + 1) * 8;
      next = b[at] as number;
      at += length;
    }
    verifyTransport(b.subarray(at, total), next, b.subarray(8, 24), b.subarray(24, 40), where, problems);
  }
}

function verifyTransport(
  segment: Bytes,
  protocol: number,
  src: Bytes,
  dst: Bytes,
  where: string,
  problems: string[],
): void {
  const check = (name: string, at: number, right: (zeroed: Bytes) => number) => {
    const zeroed = segment.slice();
    zeroed.fill(0, at, at + 2);
    const [found, wanted] = [read16(segment, at), right(zeroed)];
    if (found !== wanted)
      problems.push(`${where}${name} checksum is ${hex4(found)}, should be ${hex4(wanted)}`);
  };
  const v4 = src.length === 4;
  if (protocol === PROTOCOL.tcp && segment.length >= 20) {
    check('tcp', 16, (z) => transportChecksum(src, dst, protocol, z));
  } else if (protocol === PROTOCOL.udp && segment.length >= 8) {
    const length = read16(segment, 4);
    if (length !== segment.length) {
      problems.push(`${where}udp length is ${length}, there are ${segment.length} bytes`);
      return;
    }
    if (read16(segment, 6) === 0) {
      if (!v4) problems.push(`${where}udp checksum is 0 over IPv6 from ${formatIp(src)}`);
      return;
    }
    check('udp', 6, (z) => transportChecksum(src, dst, protocol, z) || 0xffff);
  } else if (protocol === PROTOCOL.sctp && segment.length >= 12) {
    const zeroed = segment.slice();
    zeroed.fill(0, 8, 12);
    const [found, wanted] = [read32(segment, 8), sctpChecksum(zeroed)];
    if (found !== wanted) {
      problems.push(`${where}sctp checksum is 0x${found.toString(16)}, should be 0x${wanted.toString(16)}`);
    }
  } else if (protocol === PROTOCOL.icmp && v4 && segment.length >= 8) {
    check('icmp', 2, internetChecksum);
    if (isIcmpError(4, segment[0] as number)) verifyIp(segment.subarray(8), `${where}quoted `, problems);
  } else if (protocol === PROTOCOL.icmp6 && !v4 && segment.length >= 8) {
    check('icmpv6', 2, (z) => transportChecksum(src, dst, protocol, z));
    if (isIcmpError(6, segment[0] as number)) verifyIp(segment.subarray(8), `${where}quoted `, problems);
  }
}
