// Addresses and prefixes as text, parsed strictly: what one node reads as an address every node must read as
// the same one, and no two texts may name one address.

import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  /** Canonical: dotted decimal, or RFC 5952. */
  readonly text: string;
  /** 4 or 16 bytes, network order. */
  readonly bytes: readonly number[];
}

export interface Cidr {
  readonly family: Family;
  /** Canonical, host bits cleared: 10.0.0.0/8. */
  readonly text: string;
  readonly bytes: readonly number[];
  readonly prefixLength: number;
}

/** Why a text is no address or prefix, to be put after "<text> " in a message. */
export interface Unparsable {
  readonly reason: string;
}

export type AddressKind =
  | 'unicast'
  | 'unspecified'
  | 'loopback'
  | 'link-local'
  | 'multicast'
  | 'broadcast'
  | 'IPv4-mapped';

const GROUP = /^[0-9a-f]{1,4}$/i;

/**
 * Parses an address. Refused: leading zeros in IPv4 (octal to some, decimal to others), forms other than four
 * decimal numbers, zone ids, white space. An IPv4-mapped IPv6 address is IPv6 here: see `kindOf`.
 */
export function parseAddress(text: string): Address | Unparsable {
  if (text === '') return { reason: 'is empty' };
  return text.includes(':') ? parseV6(text) : parseV4(text);
}

export function isUnparsable(result: object): result is Unparsable {
  return 'reason' in result;
}

function parseV4(text: string): Address | Unparsable {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) {
    if (/^\d+(\.\d+){3}$/.test(text) && /(^|\.)0\d/.test(text)) return { reason: 'has leading zeros' };
    return { reason: 'is not an IP address' };
  }
  return { family: 4, text, bytes: ipaddr.IPv4.parse(text).octets };
}

function parseV6(text: string): Address | Unparsable {
  if (text.includes('%')) return { reason: 'has a zone id' };
  const hex = withoutDottedTail(text);
  // ipaddr.js reads more than RFC 4291 allows (0x1::, parts in octal), so the alphabet is checked here.
  if (hex === undefined || !hex.split(':').every((group) => group === '' || GROUP.test(group))) {
    return { reason: 'is not an IP address' };
  }
  if (!ipaddr.IPv6.isValid(hex)) return { reason: 'is not an IP address' };
  const address = ipaddr.IPv6.parse(hex);
  return { family: 6, text: address.toRFC5952String(), bytes: address.toByteArray() };
}

/** `::ffff:192.0.2.1` -> `::ffff:c000:201`. ipaddr.js takes `::192.0.2.1` for a mapped address, which it is not. */
function withoutDottedTail(text: string): string | undefined {
  if (!text.includes('.')) return text;
  const cut = text.lastIndexOf(':') + 1;
  const tail = parseV4(text.slice(cut));
  if (isUnparsable(tail)) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = tail.bytes;
  return `${text.slice(0, cut)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

export function kindOf(address: Address): AddressKind {
  return address.family === 4 ? kindOfV4(address.bytes) : kindOfV6(address.bytes);
}

function kindOfV4(bytes: readonly number[]): AddressKind {
  const [a = 0, b = 0] = bytes;
  if (bytes.every((byte) => byte === 0)) return 'unspecified';
  if (bytes.every((byte) => byte === 255)) return 'broadcast';
  if (a === 127) return 'loopback';
  if (a === 169 && b === 254) return 'link-local';
  if (a >= 224 && a <= 239) return 'multicast';
  return 'unicast';
}

function kindOfV6(bytes: readonly number[]): AddressKind {
  const [a = 0, b = 0] = bytes;
  if (a === 255) return 'multicast';
  if (a === 0xfe && (b & 0xc0) === 0x80) return 'link-local';
  if (!bytes.slice(0, 10).every((byte) => byte === 0)) return 'unicast';
  if (bytes[10] === 255 && bytes[11] === 255) return 'IPv4-mapped';
  if (!bytes.slice(10, 15).every((byte) => byte === 0)) return 'unicast';
  if (bytes[15] === 0) return 'unspecified';
  return bytes[15] === 1 ? 'loopback' : 'unicast';
}

/**
 * Parses `address/length`. Host bits may be set and are cleared, as kube-proxy does. A bare address is refused:
 * whether it means one host or a mistake is not for us to guess.
 */
export function parseCidr(text: string): Cidr | Unparsable {
  const slash = text.indexOf('/');
  if (slash < 0) return { reason: 'is not a CIDR such as 10.0.0.0/8' };
  const address = parseAddress(text.slice(0, slash));
  if (isUnparsable(address)) return { reason: 'is not a CIDR such as 10.0.0.0/8' };
  if (kindOf(address) === 'IPv4-mapped') return { reason: 'is an IPv4-mapped CIDR' };
  const lengthText = text.slice(slash + 1);
  const prefixLength = /^(0|[1-9]\d{0,2})$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  if (!(prefixLength <= address.bytes.length * 8)) return { reason: 'has an impossible prefix length' };
  return networkOf(address, prefixLength);
}

/** The prefix of that length (at most 32 or 128) that holds the address. */
export function networkOf(address: Address, prefixLength: number): Cidr {
  const bytes = maskBytes(address.bytes, prefixLength);
  return { family: address.family, text: `${formatBytes(bytes)}/${prefixLength}`, bytes, prefixLength };
}

export function contains(cidr: Cidr, address: Address): boolean {
  if (cidr.family !== address.family) return false;
  return maskBytes(address.bytes, cidr.prefixLength).every((byte, index) => byte === cidr.bytes[index]);
}

function maskBytes(bytes: readonly number[], prefixLength: number): number[] {
  return bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte & (0xff00 >> bits) & 0xff;
  });
}

function formatBytes(bytes: number[]): string {
  return bytes.length === 4 ? bytes.join('.') : new ipaddr.IPv6(bytes).toRFC5952String();
}

/** Compared as text, sorts the addresses of one family by number. */
export function sortKey(address: Address): string {
  return address.bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
