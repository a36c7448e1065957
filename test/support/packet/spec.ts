import type { Bytes } from './bytes.js';

// A packet as plain data. Fields left out are computed (lengths, checksums, protocol numbers) or
// have the default in parentheses; a field that is given is written as it is, right or wrong.

export interface VlanTag {
  id: number;
  /** (0) */
  priority?: number;
  /** (0x8100) */
  tpid?: number;
}

export interface Ethernet {
  dst: string;
  src: string;
  vlan?: VlanTag[];
  type?: number;
}

export interface Ipv4 {
  version: 4;
  src: string;
  dst: string;
  /** (64) */
  ttl?: number;
  /** (0) */
  tos?: number;
  /** (0x1234) */
  id?: number;
  /** Don't fragment (true, but false on a fragment). */
  df?: boolean;
  /** More fragments (false). */
  mf?: boolean;
  /** Fragment offset in bytes, a multiple of 8 (0). */
  offset?: number;
  /** Padded with end-of-list to a multiple of 4. */
  options?: Bytes;
  protocol?: number;
  totalLength?: number;
  /** Header length in 32-bit words. */
  ihl?: number;
  checksum?: number;
}

export type Ipv6Extension =
  /** `options`: TLVs; padded with PadN. */
  | { kind: 'hop-by-hop' | 'destination'; options?: Bytes; length?: number }
  /** `data`: after the first 4 bytes of the header. */
  | { kind: 'routing'; type: number; segmentsLeft: number; data: Bytes; length?: number }
  /** `offset` in bytes. */
  | { kind: 'fragment'; id: number; offset: number; mf: boolean };

export interface Ipv6 {
  version: 6;
  src: string;
  dst: string;
  /** (64) */
  hopLimit?: number;
  /** (0) */
  trafficClass?: number;
  /** (0) */
  flowLabel?: number;
  extensions?: Ipv6Extension[];
  /** The protocol after the last extension header. */
  protocol?: number;
  payloadLength?: number;
}

export interface Tcp {
  kind: 'tcp';
  sport: number;
  dport: number;
  /** (0) */
  seq?: number;
  /** (0) */
  ack?: number;
  /** Letters of FSRPAUEC in any order. */
  flags: string;
  /** (65535) */
  window?: number;
  /** (0) */
  urgent?: number;
  /** Padded with end-of-list to a multiple of 4. */
  options?: Bytes;
  /** Header length in 32-bit words. */
  dataOffset?: number;
  checksum?: number;
}

export interface Udp {
  kind: 'udp';
  sport: number;
  dport: number;
  length?: number;
  /** 0: sent without one. */
  checksum?: number;
}

export interface Sctp {
  kind: 'sctp';
  sport: number;
  dport: number;
  tag: number;
  /** CRC32c as it reads in network order. */
  checksum?: number;
}

/** ICMP or ICMPv6, by the version of the IP header. */
export interface Icmp {
  kind: 'icmp';
  type: number;
  code: number;
  /** Bytes 4 to 7 as one number: id and sequence, or MTU (0). */
  rest?: number;
  checksum?: number;
}

/** No header that this library knows: an odd protocol, a later fragment, a cut-off header. */
export interface Raw {
  kind: 'raw';
  protocol: number;
}

export type Transport = Tcp | Udp | Sctp | Icmp | Raw;

export interface Packet {
  eth?: Ethernet;
  ip?: Ipv4 | Ipv6;
  l4?: Transport;
  payload?: Bytes;
  /** Of an ICMP error, in place of `payload`: the packet it is about. */
  quoted?: Packet;
  /** How much of `quoted` is there (all). */
  quotedBytes?: number;
  /** Ethernet padding behind the IP packet. */
  trailer?: Bytes;
}

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 } as const;
export const EXTENSION = { 'hop-by-hop': 0, routing: 43, fragment: 44, destination: 60 } as const;
export const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd, vlan: 0x8100, arp: 0x0806 } as const;
export const TCP_FLAGS = 'FSRPAUEC';

export const isIcmpError = (version: 4 | 6, type: number): boolean =>
  version === 4 ? [3, 4, 5, 11, 12].includes(type) : type >= 1 && type <= 4;
