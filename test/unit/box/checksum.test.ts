import { describe, expect, it } from 'vitest';
import { checkFrame } from '../../../box/checksum.js';
import { parsePcap } from '../../../box/pcap.js';

/** Bytes from hexadecimal text; blanks are for the reader. */
function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
}

const ethernet4 = '020000000002 020000000001 0800';
const ethernet6 = '020000000002 020000000001 86dd';
// 10.0.0.1 -> 10.0.0.2, UDP 4660 -> 22136, "ab"; the right checksums are worked out by hand below.
const ipv4 = (checksum: string) => `4500001e 00000000 4011${checksum} 0a000001 0a000002`;
const udp = (checksum: string) => `12345678 000a${checksum} 6162`;

function faults(hex: string): { protocol: string; carried: number; right: number }[] {
  return checkFrame(bytes(hex)).faults.map(({ protocol, carried, right }) => ({ protocol, carried, right }));
}

describe('checkFrame', () => {
  // 4500+001e+4011+0a00+0001+0a00+0002 = 9932; ~ = 66cd.
  // Pseudo header 0a00+0001+0a00+0002+0011+000a = 141e; 1234+5678+000a+6162 = ca18; sum de36; ~ = 21c9.
  it.each([
    ['all right', ipv4('66cd') + udp('21c9'), []],
    ['no UDP checksum', ipv4('66cd') + udp('0000'), []],
    [
      'a wrong UDP checksum',
      ipv4('66cd') + udp('21c8'),
      [{ protocol: 'udp', carried: 0x21c8, right: 0x21c9 }],
    ],
    [
      'a wrong IPv4 checksum',
      ipv4('66ce') + udp('21c9'),
      [{ protocol: 'ipv4', carried: 0x66ce, right: 0x66cd }],
    ],
    [
      'the unfinished checksum of an offload',
      ipv4('66cd') + udp('141e'),
      [{ protocol: 'udp', carried: 0x141e, right: 0x21c9 }],
    ],
  ])('IPv4 with %s', (_, packet, expected) => {
    expect(faults(ethernet4 + packet)).toEqual(expected);
  });

  it('does not mind what follows the packet in a padded frame', () => {
    expect(faults(`${ethernet4}${ipv4('66cd')}${udp('21c9')}ffffffff`)).toEqual([]);
  });

  it('looks at the IPv4 header only of a fragment', () => {
    const fragment = `4500001e 00002000 401146cd 0a000001 0a000002`; // more fragments: 66cd - 2000
    expect(checkFrame(bytes(ethernet4 + fragment + udp('ffff')))).toEqual({ faults: [], checked: ['ipv4'] });
  });

  // fd00::1 -> fd00::2; pseudo fd00+0001+fd00+0002+000a+0011 = 1fa1e -> fa1f; + ca18 = 1c437 -> c438; ~ = 3bc7.
  const ipv6 = (next: string, length: string) =>
    `60000000 ${length}${next}40 fd000000000000000000000000000001 fd000000000000000000000000000002`;
  it.each([
    ['all right', `${ipv6('11', '000a')}${udp('3bc7')}`, []],
    [
      'no UDP checksum, which IPv6 forbids',
      `${ipv6('11', '000a')}${udp('0000')}`,
      [{ protocol: 'udp', carried: 0, right: 0x3bc7 }],
    ],
    ['an extension header before UDP', `${ipv6('3c', '0012')}1100010400000000${udp('3bc7')}`, []],
  ])('IPv6 with %s', (_, packet, expected) => {
    expect(faults(ethernet6 + packet)).toEqual(expected);
  });

  it('looks into VXLAN', () => {
    const inner = `${ethernet4}${ipv4('66cd')}${udp('1111')}`;
    const length = 16 + bytes(inner).length;
    const outerUdp = `c0002118 ${length.toString(16).padStart(4, '0')}0000 0800000000000100`;
    const total = (20 + length).toString(16).padStart(4, '0');
    const outer = `4500${total} 00000000 40110000 0a000001 0a000002`;
    const found = checkFrame(bytes(ethernet4 + outer + outerUdp + inner));
    expect(found.checked).toEqual(['ipv4', 'ipv4', 'udp']);
    expect(found.faults.map((fault) => fault.protocol)).toEqual(['ipv4', 'udp']);
  });

  it('looks at the quoted header of an ICMP error', () => {
    const quoted = `${ipv4('1234')}${udp('21c9')}`;
    const found = checkFrame(
      bytes(`${ethernet4}4500003a 00000000 4001 66c1 0a000001 0a000002 0303 0000 00000000${quoted}`),
    );
    expect(found.checked).toEqual(['ipv4', 'icmp', 'quoted ipv4']);
    expect(found.faults).toContainEqual(
      expect.objectContaining({ protocol: 'quoted ipv4', carried: 0x1234, right: 0x66cd }),
    );
  });

  it.each([
    ['an empty frame', ''],
    ['a cut header', `${ethernet4}4500`],
    ['a length beyond the frame', `${ethernet4}${ipv4('66cd')}`],
    ['ARP', '020000000002 020000000001 0806 0001'],
  ])('passes over %s', (_, frame) => {
    expect(checkFrame(bytes(frame))).toEqual({ faults: [], checked: [] });
  });
});

describe('parsePcap', () => {
  const header = 'd4c3b2a1 02000400 00000000 00000000 00000400 01000000';

  it('reads packets and leaves out one that is not yet complete', () => {
    const packet = '01000000 40420f00 02000000 05000000 aabb';
    const packets = parsePcap(bytes(`${header}${packet}02000000 00000000 08000000 08000000 cc`));
    expect(packets).toHaveLength(1);
    expect(packets[0]).toMatchObject({ time: 2, originalLength: 5, data: bytes('aabb') });
  });

  it('refuses other files and other link types', () => {
    expect(() => parsePcap(bytes(`00112233${header.slice(8)}`))).toThrow(/magic number/);
    expect(() => parsePcap(bytes(header.replace(/01000000$/, '71000000')))).toThrow(/not Ethernet/);
    expect(() => parsePcap(bytes('d4c3'))).toThrow(/shorter than its header/);
    expect(parsePcap(new Uint8Array())).toEqual([]);
  });
});
