import { describe, expect, it } from 'vitest';
import {
  crc32c,
  formatIp,
  hex,
  internetChecksum,
  parseEndpoint,
  parseIp,
  pseudoHeader,
  sctpChecksum,
  text,
  toHex,
  transportChecksum,
} from '../../support/packet/index.js';

describe('internet checksum', () => {
  const rows: [string, string, number][] = [
    ['of the example in RFC 1071 section 3', '0001 f203 f4f5 f6f7', 0x220d],
    ['of nothing is all ones', '', 0xffff],
    ['pads an odd byte on the right', '01', 0xfeff],
    ['folds carries more than once', 'ffff ffff ffff 0001', 0xfffe],
    [
      'of a well known IPv4 header whose field is zero',
      '4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7',
      0xb861,
    ],
    ['is 0 over data with a right sum', '4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7', 0],
  ];
  it.each(rows)('%s', (_what, data, sum) => {
    expect(internetChecksum(hex(data))).toBe(sum);
  });

  it('covers the pseudo header of RFC 793 and that of RFC 8200', () => {
    expect(toHex(pseudoHeader(parseIp('10.0.0.1'), parseIp('10.0.0.2'), 6, 20))).toBe(
      '0a0000010a00000200060014',
    );
    expect(toHex(pseudoHeader(parseIp('::1'), parseIp('::2'), 17, 0x12345))).toBe(
      `${'0'.repeat(31)}1${'0'.repeat(31)}20001234500000011`,
    );
  });

  it('sums a UDP datagram by hand', () => {
    // 0a00+0001+0a00+0002+0011+000a (pseudo) + 0001+0002+000a+0000+6869 = 7c94, inverted
    const sum = transportChecksum(
      parseIp('10.0.0.1'),
      parseIp('10.0.0.2'),
      17,
      hex('0001 0002 000a 0000 6869'),
    );
    expect(sum).toBe(0xffff - 0x7c94);
  });
});

describe('CRC32c', () => {
  // RFC 3720 appendix B.4, read as little-endian bytes there.
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  const rows: [string, Uint8Array, number][] = [
    ['32 bytes of zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 bytes of ones', new Uint8Array(32).fill(255), 0x62a8ab43],
    ['32 bytes counting up', ascending, 0x46dd794e],
    ['32 bytes counting down', ascending.slice().reverse(), 0x113fdb5c],
    ['the digits 1 to 9', text('123456789'), 0xe3069283],
  ];
  it.each(rows)('of %s', (_what, data, crc) => {
    expect(crc32c(data)).toBe(crc);
  });

  it('is put into an SCTP packet with its low byte first (RFC 9260 appendix A)', () => {
    expect(sctpChecksum(text('123456789'))).toBe(0x839206e3);
  });
});

describe('addresses', () => {
  const rows: [string, string][] = [
    ['192.0.2.1', 'c0000201'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['fd00:5408:1::1', 'fd005408000100000000000000000001'],
    ['2001:db8:0:1:1:1:1:1', '20010db8000000010001000100010001'],
    ['2001:0:0:1::1', '20010000000000010000000000000001'],
  ];
  it.each(rows)('%s is read and written', (ip, digits) => {
    expect(toHex(parseIp(ip))).toBe(digits);
    expect(formatIp(hex(digits))).toBe(ip);
  });

  it('reads a dotted tail and refuses what is no address', () => {
    expect(toHex(parseIp('::ffff:10.1.2.3'))).toBe('00000000000000000000ffff0a010203');
    expect(() => parseIp('10.0.0')).toThrow('not an IP address');
    expect(() => parseEndpoint('pod:80')).toThrow('not address:port');
    expect(parseEndpoint('[fd00::1]:80')).toEqual({ ip: 'fd00::1', port: 80 });
  });
});
