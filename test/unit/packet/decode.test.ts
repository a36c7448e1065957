import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  build,
  decode,
  echo,
  equal,
  explainDiff,
  fragment,
  hex,
  icmpError,
  type Packet,
  readdress,
  sctp,
  tcp,
  udp,
  verifyChecksums,
} from '../../support/packet/index.js';

const endpoints = fc
  .tuple(fc.boolean(), fc.nat(65535), fc.nat(65535), fc.integer({ min: 1, max: 65535 }), fc.nat(65535))
  .map(([six, a, b, sport, dport]) =>
    six
      ? ([`[fd00::${a.toString(16)}:1]:${sport}`, `[fd01::${b.toString(16)}]:${dport}`] as const)
      : ([`10.0.${a >> 8}.${a & 255}:${sport}`, `10.1.${b >> 8}.${b & 255}:${dport}`] as const),
  );
const payload = fc.uint8Array({ maxLength: 80 });
const packets: fc.Arbitrary<Packet> = fc
  .tuple(endpoints, payload, fc.nat(3), fc.nat())
  .map(([[f, t], data, kind, n]) => {
    if (kind === 0) return tcp(f, t, { payload: data, seq: n, flags: n % 2 ? 'PA' : 'S' });
    if (kind === 1) return udp(f, t, { payload: data });
    if (kind === 2) return sctp(f, t, { payload: data, tag: n });
    const [src, dst] = [f, t].map((e) => e.replace(/^\[|\]?:\d+$/g, '')) as [string, string];
    return n % 2
      ? echo(src, dst, { payload: data })
      : icmpError('host-unreachable', src, dst, udp(f, t, { payload: data }));
  });

describe('decode', () => {
  it('gives what build needs to make the same bytes again', () => {
    fc.assert(
      fc.property(packets, (p) => {
        const bytes = build(p);
        const d = decode(bytes);
        expect(d.problems).toEqual([]);
        expect(equal(build(d), bytes)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('reads fragments, extension headers and options back as well', () => {
    const odd: Packet[] = [
      ...fragment(udp('10.0.0.1:1', '10.0.0.2:2', { payload: 'x'.repeat(50) }), 16),
      ...fragment(udp('[fd00::1]:1', '[fd00::2]:2', { payload: 'x'.repeat(50) }), 16),
      tcp('10.0.0.1:1', '10.0.0.2:2', { options: hex('0101080a0000000100000002'), flags: 'FSRPAUEC' }),
      { ...udp('10.0.0.1:1', '10.0.0.2:2'), trailer: new Uint8Array(10) },
      udp('[fd00::1]:1', '[fd00::2]:2', {
        ip: { extensions: [{ kind: 'destination', options: hex('0103112233') }] },
      }),
    ];
    for (const p of odd) expect(equal(build(decode(build(p))), build(p))).toBe(true);
  });

  it.each([
    ['an empty frame', '', 'ethernet: cut off'],
    ['half an IPv4 header', '020000000001020000000002080045000014', 'ipv4: header cut off'],
    ['half an IPv6 header', '02000000000102000000000286dd60000000', 'ipv6: header cut off'],
    ['version 5', '020000000001020000000002080055', 'ip: version 5'],
  ])('says what is wrong with %s', (_what, bytes, problem) => {
    expect(decode(hex(bytes)).problems).toEqual([problem]);
  });

  it('says that a transport header is cut off and a length is too large', () => {
    const whole = build(tcp('10.0.0.1:1', '10.0.0.2:2'));
    expect(decode(whole.subarray(0, 40)).problems).toEqual([
      'ipv4: 26 of 40 bytes',
      'transport: header cut off',
    ]);
  });
});

describe('verifyChecksums', () => {
  it('is content with every packet that build makes', () => {
    fc.assert(
      fc.property(packets, (p) => {
        expect(verifyChecksums(build(p))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('finds any single wrong bit behind the Ethernet header', () => {
    fc.assert(
      fc.property(packets, fc.nat(), fc.nat(7), (p, at, bit) => {
        if (p.l4?.kind !== 'tcp' && p.l4?.kind !== 'sctp') return;
        const bytes = build(p);
        const i = 14 + (at % (bytes.length - 14));
        const six = p.ip?.version === 6;
        // IPv6 sums no version, class, flow label or hop limit; nor can a wrong length or protocol be told.
        if (i < (six ? 22 : 34) && (six || i < 18 || i === 20 || i === 21 || i === 23)) return;
        // An SCTP sum does not cover addresses.
        if (p.l4.kind === 'sctp' && six && i < 54) return;
        bytes[i] = (bytes[i] as number) ^ (1 << bit);
        expect(verifyChecksums(bytes)).not.toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('names the field, what it is and what it should be', () => {
    const p = udp('10.0.0.1:1', '10.0.0.2:2', { payload: 'hi', checksum: 0x1234, ip: { checksum: 1 } });
    expect(verifyChecksums(build(p))).toEqual([
      'ipv4 header checksum is 0x0001, should be 0x1499',
      'udp checksum is 0x1234, should be 0x836b',
    ]);
  });

  it('looks into the packet that an ICMP error quotes', () => {
    const about = readdress(udp('10.0.0.1:1', '10.0.0.2:2', { payload: 'hi', checksum: 0x1234 }), {});
    expect(verifyChecksums(build(icmpError('port-unreachable', '10.0.0.2', '10.0.0.1', about)))).toEqual([
      'quoted udp checksum is 0x1234, should be 0x836b',
    ]);
    const cut = icmpError('port-unreachable', '10.0.0.2', '10.0.0.1', about, { quotedBytes: 28 });
    expect(verifyChecksums(build(cut))).toEqual([]);
  });

  it('refuses UDP without a checksum over IPv6 and wrong lengths', () => {
    expect(verifyChecksums(build(udp('[fd00::1]:1', '[fd00::2]:2', { checksum: 0 })))).toEqual([
      'udp checksum is 0 over IPv6 from fd00::1',
    ]);
    expect(verifyChecksums(build(udp('10.0.0.1:1', '10.0.0.2:2', { length: 99 })))).toEqual([
      'udp length is 99, there are 8 bytes',
    ]);
  });
});

describe('explainDiff', () => {
  it('shows both packets field by field and marks what differs', () => {
    const a = build(udp('10.0.0.1:1', '10.0.0.2:2', { payload: 'hi' }));
    const b = build(udp('10.0.0.1:1', '10.0.0.3:2', { payload: 'hi', checksum: 0x836b }));
    const lines = explainDiff(a, b).split('\n');
    expect(lines).toContainEqual(expect.stringMatching(/^! ip\.dst +10\.0\.0\.2 +10\.0\.0\.3$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}ip\.src +10\.0\.0\.1$/));
    expect(lines).toContainEqual(expect.stringMatching(/^! wrong +- +udp checksum is 0x836b/));
    expect(lines).toContain('first difference at byte 25 of 44 / 44');
  });
});
