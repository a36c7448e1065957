import { describe, expect, it } from 'vitest';
import {
  build,
  concat,
  decode,
  echo,
  fragment,
  hex,
  hop,
  icmpError,
  type Packet,
  readdress,
  sctp,
  tcp,
  toHex,
  udp,
  verifyChecksums,
} from '../../support/packet/index.js';

const eth = { dst: '02:00:00:00:00:01', src: '02:00:00:00:00:02' };
const ETH4 = '020000000001 020000000002 0800';
const ETH6 = '020000000001 020000000002 86dd';

// Every vector was worked out by hand from the RFC named; none comes from this library.
const VECTORS: [string, Packet, string][] = [
  [
    'a SYN with a maximum segment size (RFC 793)',
    tcp('10.0.0.1:4096', '10.0.0.2:80', {
      eth,
      flags: 'S',
      seq: 1,
      window: 0x2000,
      options: hex('020405b4'),
    }),
    `${ETH4} 4500002c 12344000 40061496 0a000001 0a000002 1000 0050 00000001 00000000 6002 2000 53d3 0000 020405b4`,
  ],
  [
    'a UDP datagram (RFC 768)',
    udp('10.0.0.1:1', '10.0.0.2:2', { eth, payload: 'hi' }),
    `${ETH4} 4500001e 12344000 40111499 0a000001 0a000002 0001 0002 000a 836b 6869`,
  ],
  [
    'a UDP datagram without a checksum',
    udp('10.0.0.1:1', '10.0.0.2:2', { eth, payload: 'hi', checksum: 0 }),
    `${ETH4} 4500001e 12344000 40111499 0a000001 0a000002 0001 0002 000a 0000 6869`,
  ],
  [
    'an echo request (RFC 792)',
    echo('10.0.0.1', '10.0.0.2', { eth, id: 2, seq: 3 }),
    `${ETH4} 4500001c 12344000 400114ab 0a000001 0a000002 0800 f7fa 0002 0003`,
  ],
  [
    'a UDP datagram over IPv6 (RFC 8200)',
    udp('[fd00::1]:1', '[fd00::2]:2', { eth, payload: 'hi' }),
    `${ETH6} 60000000 000a 11 40 fd000000000000000000000000000001 fd000000000000000000000000000002` +
      '0001 0002 000a 9d69 6869',
  ],
  [
    'an ICMPv6 echo request (RFC 4443)',
    echo('fd00::1', 'fd00::2', { eth, id: 2, seq: 3 }),
    `${ETH6} 60000000 0008 3a 40 fd000000000000000000000000000001 fd000000000000000000000000000002` +
      '8000 85b3 0002 0003',
  ],
];

describe('build', () => {
  it.each(VECTORS)('%s', (_what, packet, bytes) => {
    expect(toHex(build(packet))).toBe(toHex(hex(bytes)));
    expect(verifyChecksums(build(packet))).toEqual([]);
  });

  it('writes 802.1Q tags between the addresses and the type', () => {
    const tagged = build(
      udp('10.0.0.1:1', '10.0.0.2:2', { eth: { ...eth, vlan: [{ id: 7, priority: 3 }] } }),
    );
    expect(toHex(tagged.subarray(12, 18))).toBe('810060070800');
    expect(decode(tagged).eth?.vlan).toEqual([{ tpid: 0x8100, id: 7, priority: 3 }]);
    expect(verifyChecksums(tagged)).toEqual([]);
  });

  it('pads IPv4 options and counts them in the header length', () => {
    const b = build(udp('10.0.0.1:1', '10.0.0.2:2', { eth, ip: { options: hex('9404 0000 01') } }));
    expect(toHex(b.subarray(14, 16))).toBe('4700');
    expect(toHex(b.subarray(34, 42))).toBe('9404000001000000');
    expect(verifyChecksums(b)).toEqual([]);
  });

  it('chains IPv6 extension headers', () => {
    const b = build(
      udp('[fd00::1]:1', '[fd00::2]:2', {
        eth,
        ip: {
          extensions: [
            { kind: 'hop-by-hop', options: hex('0502 0000') },
            { kind: 'destination' },
            { kind: 'routing', type: 4, segmentsLeft: 0, data: hex('00000000') },
            { kind: 'fragment', id: 0xaabbccdd, offset: 0, mf: false },
          ],
        },
      }),
    );
    expect(toHex(b.subarray(54, 86))).toBe(
      `3c00050200000100${'2b00010400000000'}${'2c00040000000000'}${'11000000aabbccdd'}`,
    );
    expect(verifyChecksums(b)).toEqual([]);
    expect(decode(b).l4).toMatchObject({ kind: 'udp', sport: 1, dport: 2 });
  });

  it('sends a computed UDP checksum of zero as all ones', () => {
    // 0a000001 + 0a000002 + 0011 + 0008 + 0001 + 0002 + 0008 leave ebd8 for the payload-free sum to be ffff
    const b = build(udp('10.0.0.1:1', '10.0.0.2:2', { eth, payload: hex('ebd4') }));
    expect(toHex(b.subarray(40, 42))).toBe('ffff');
    expect(verifyChecksums(b)).toEqual([]);
  });

  it('quotes a packet in an ICMP error, cut where asked', () => {
    const about = tcp('10.0.0.1:4096', '10.0.0.2:80', { flags: 'S' });
    const b = build(icmpError('too-big', '10.0.0.2', '10.0.0.1', about, { rest: 1400, quotedBytes: 28 }));
    const d = decode(b);
    expect(d.l4).toMatchObject({ kind: 'icmp', type: 3, code: 4, rest: 1400 });
    expect(d.quoted?.ip).toMatchObject({ src: '10.0.0.1', dst: '10.0.0.2', totalLength: 40 });
    expect(b.length).toBe(14 + 20 + 8 + 28);
    expect(verifyChecksums(b)).toEqual([]);
  });

  it('cuts a datagram into fragments whose bodies make the whole again', () => {
    for (const [from, to] of [
      ['10.0.0.1:1', '10.0.0.2:2'],
      ['[fd00::1]:1', '[fd00::2]:2'],
    ] as const) {
      const whole = udp(from, to, { payload: 'x'.repeat(60) });
      const pieces = fragment(whole, 24);
      expect(pieces.length).toBe(3);
      const decoded = pieces.map((p) => decode(build(p)));
      expect(decoded[0]?.l4?.kind).toBe('udp');
      expect(decoded[1]?.l4?.kind).toBe('raw');
      const bodies = pieces.map((p) => p.payload as Uint8Array);
      const wholeBytes = build(whole);
      expect(toHex(concat(...bodies))).toBe(toHex(wholeBytes.subarray(wholeBytes.length - 68)));
    }
  });

  it('moves a packet to other endpoints and past a router', () => {
    const p = tcp('10.0.0.1:4096', '10.96.0.1:80', { flags: 'S' });
    const moved = decode(build(hop(readdress(p, { dst: '10.1.0.9:8080', src: '10.0.0.7' }))));
    expect(moved.ip).toMatchObject({ src: '10.0.0.7', dst: '10.1.0.9', ttl: 63 });
    expect(moved.l4).toMatchObject({ sport: 4096, dport: 8080 });
  });

  it('refuses to make up the checksum of a fragment, and unknown flags', () => {
    expect(() => build(udp('10.0.0.1:1', '10.0.0.2:2', { ip: { mf: true } }))).toThrow('fragment()');
    expect(() => build(tcp('10.0.0.1:1', '10.0.0.2:2', { flags: 'SX' }))).toThrow('not a TCP flag');
    expect(() => build(sctp('10.0.0.1:1', '[fd00::2]:2'))).toThrow('two families');
  });
});
