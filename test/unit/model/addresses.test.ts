import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  contains,
  isUnparsable,
  kindOf,
  parseAddress,
  parseCidr,
  sortKey,
} from '../../../src/model/addresses.js';

function parsed(text: string): string {
  const address = parseAddress(text);
  return isUnparsable(address) ? `! ${address.reason}` : address.text;
}

describe('parseAddress: one text per address', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['2001:DB8::A', '2001:db8::a'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['::192.0.2.1', '::c000:201'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['', '! is empty'],
    ['010.0.0.1', '! has leading zeros'],
    ['10.0.0.01', '! has leading zeros'],
    ['::ffff:192.0.2.01', '! is not an IP address'],
    ['fe80::1%eth0', '! has a zone id'],
    ['10.0.0', '! is not an IP address'],
    ['10.0.0.256', '! is not an IP address'],
    ['10.0.0.1.1', '! is not an IP address'],
    ['0x0a.0.0.1', '! is not an IP address'],
    ['167772161', '! is not an IP address'],
    [' 10.0.0.1', '! is not an IP address'],
    ['10.0.0.1 ', '! is not an IP address'],
    ['::1 ', '! is not an IP address'],
    ['1::2::3', '! is not an IP address'],
    ['1:2:3:4:5:6:7', '! is not an IP address'],
    ['00001::', '! is not an IP address'],
    [':::', '! is not an IP address'],
    ['[::1]', '! is not an IP address'],
    ['None', '! is not an IP address'],
    ['example.com', '! is not an IP address'],
  ])('%j -> %s', (text, expected) => expect(parsed(text)).toBe(expected));

  it('accepts what node:net accepts, zone ids aside, and is stable on its own output', () => {
    const texts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: fc.constantFrom(...'0123456789abf:.%') }));
    fc.assert(
      fc.property(texts, (text) => {
        const address = parseAddress(text);
        expect(!isUnparsable(address)).toBe((isIPv4(text) || isIPv6(text)) && !text.includes('%'));
        if (!isUnparsable(address)) expect(parseAddress(address.text)).toEqual(address);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('kindOf', () => {
  it.each([
    ['0.0.0.0', 'unspecified'],
    ['0.0.0.1', 'unicast'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['128.0.0.1', 'unicast'],
    ['169.254.0.1', 'link-local'],
    ['169.253.0.1', 'unicast'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.1', 'unicast'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::2', 'unicast'],
    ['::1:1', 'unicast'],
    ['::ffff:10.0.0.1', 'IPv4-mapped'],
    ['::fffe:10.0.0.1', 'unicast'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['fec0::1', 'unicast'],
    ['ff02::1', 'multicast'],
    ['fd00::1', 'unicast'],
  ])('%s is %s', (text, kind) => {
    const address = parseAddress(text);
    expect(isUnparsable(address) ? 'unparsable' : kindOf(address)).toBe(kind);
  });
});

describe('parseCidr', () => {
  it.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3/32', '10.1.2.3/32'],
    ['10.1.2.255/25', '10.1.2.128/25'],
    ['1.2.3.4/0', '0.0.0.0/0'],
    ['2001:db8:ffff::/33', '2001:db8:8000::/33'],
    ['::1/0', '::/0'],
    ['::1/128', '::1/128'],
    ['10.0.0.1', '! is not a CIDR such as 10.0.0.0/8'],
    ['', '! is not a CIDR such as 10.0.0.0/8'],
    ['10.0.0.0/33', '! has an impossible prefix length'],
    ['10.0.0.0/', '! has an impossible prefix length'],
    ['10.0.0.0/08', '! has an impossible prefix length'],
    ['10.0.0.0/-1', '! has an impossible prefix length'],
    ['10.0.0.0/8/8', '! has an impossible prefix length'],
    ['10.0.0.0/255.0.0.0', '! has an impossible prefix length'],
    ['::/129', '! has an impossible prefix length'],
    ['::ffff:10.0.0.0/104', '! is an IPv4-mapped CIDR'],
  ])('%j -> %s', (text, expected) => {
    const cidr = parseCidr(text);
    expect(isUnparsable(cidr) ? `! ${cidr.reason}` : cidr.text).toBe(expected);
  });

  it('contains exactly the addresses that share its leading bits', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6()),
        fc.oneof(fc.ipV4(), fc.ipV6()),
        fc.nat(128),
        (a, b, bits) => {
          const cidr = parseCidr(`${a}/${bits}`);
          const address = parseAddress(b);
          if (isUnparsable(cidr) || isUnparsable(address)) return;
          const binary = (bytes: readonly number[]): string =>
            bytes
              .map((byte) => byte.toString(2).padStart(8, '0'))
              .join('')
              .slice(0, bits);
          const same = cidr.family === address.family && binary(cidr.bytes) === binary(address.bytes);
          expect(contains(cidr, address)).toBe(same);
          const own = parseAddress(a);
          if (!isUnparsable(own)) expect(contains(cidr, own)).toBe(true);
        },
      ),
    );
  });
});

it('sortKey orders addresses by number', () => {
  const keys = ['10.0.0.9', '10.0.0.10', '10.0.1.0', '192.0.2.1'].map((text) => {
    const address = parseAddress(text);
    return isUnparsable(address) ? '' : sortKey(address);
  });
  expect([...keys].sort()).toEqual(keys);
});
