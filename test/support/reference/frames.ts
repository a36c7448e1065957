// From an action's numbers to a frame: who sends it, where it enters, what it looks like.
import {
  type Bytes,
  build,
  concat,
  fragment,
  type IcmpErrorKind,
  icmpError,
  type Packet,
  PROTOCOL,
  sctp,
  tcp,
  u16,
  udp,
} from '../packet/index.js';
import { DEVICES, type DeviceName } from '../packet/netns.js';
import type { Shape } from './generate.js';
import type { Ends } from './types.js';
import { bookOf, type Place } from './world.js';

/** Where a packet enters the node: a device, or undefined for a socket of the node. */
export interface Client {
  place: Place;
  on: DeviceName | undefined;
}

export const CLIENTS: Client[] = [
  { place: 'pod1', on: 'pod1' },
  { place: 'client', on: 'uplink' },
  { place: 'pod2', on: 'pod2' },
  { place: 'client2', on: 'uplink' },
  { place: 'node', on: undefined },
  { place: 'pod2b', on: 'pod2' },
  { place: 'remote', on: 'uplink' },
  { place: 'overlay', on: 'overlay' },
  { place: 'client', on: 'uplink2' },
];

export const PORTS = [40000, 40001, 40002, 20001];
export const SEQUENCES = [1000, 2000, 0, 0xfffffff0, 70000, 123456789];

const text = (ip: string, port: number) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

/** Ethernet header of a frame that a device receives or is about to send. */
export function ethernet(on: DeviceName, egress: boolean): { dst: string; src: string } {
  const { mac, peerMac } = DEVICES[on];
  return egress ? { dst: peerMac, src: mac } : { dst: mac, src: peerMac };
}

export interface Segment {
  flags: string;
  seq: number;
  ack: number;
}

/** A packet between two ends, without fragments. */
export function packetOf(
  proto: number,
  e: Ends,
  s: Segment,
  shape: Shape,
  eth: { dst: string; src: string },
): Packet {
  const [from, to] = [text(e.src, e.sport), text(e.dst, e.dport)];
  const family = e.src.includes(':') ? 6 : 4;
  const ip =
    family === 4
      ? { df: shape.df, ...(shape.extra ? { options: Uint8Array.of(1, 1, 1, 1) } : {}) }
      : shape.extra
        ? { extensions: [{ kind: 'destination' as const, options: Uint8Array.of(1, 4, 0, 0, 0, 0) }] }
        : {};
  const common = { eth, ttl: shape.ttl, ip, payload: new Uint8Array(shape.payload).fill(0x41) };
  const padding = shape.padded ? { trailer: new Uint8Array(6).fill(0xee) } : {};
  if (proto === PROTOCOL.tcp) return { ...tcp(from, to, { ...common, ...s, window: 501 }), ...padding };
  if (proto === PROTOCOL.udp) {
    const none = shape.unsummed && family === 4 ? { checksum: 0 } : {};
    return { ...udp(from, to, { ...common, ...none }), ...padding };
  }
  const chunk = s.flags.includes('S') && !s.flags.includes('A') ? 1 : s.flags.includes('R') ? 6 : 0;
  const payload = concat(Uint8Array.of(chunk, 3), u16(4 + shape.payload), common.payload);
  return {
    ...sctp(from, to, { ...common, payload, ...(shape.unsummed ? { checksum: 0 } : {}) }),
    ...padding,
  };
}

/** A datagram in three fragments or fewer. */
export function fragmentsOf(
  proto: number,
  e: Ends,
  s: Segment,
  shape: Shape,
  eth: { dst: string; src: string },
): Bytes[] {
  const whole = packetOf(proto, e, s, { ...shape, payload: 44, padded: false, extra: false }, eth);
  return fragment(whole, 24, 0x7700 + shape.payload).map(build);
}

const KINDS: IcmpErrorKind[] = [
  'port-unreachable',
  'host-unreachable',
  'too-big',
  'time-exceeded',
  'parameter',
  'redirect',
];
/** Sources of errors that are no end of the connection. */
const ROUTER: Place = 'narrow';

export function errorOf(
  proto: number,
  about: Ends,
  from: string | undefined,
  kind: number,
  cut: number | undefined,
  shape: Shape,
  eth: { dst: string; src: string },
): Bytes {
  const family = about.src.includes(':') ? 6 : 4;
  const source = from ?? (bookOf(family)[ROUTER] as string);
  const name = KINDS[kind % KINDS.length] as IcmpErrorKind;
  const quoted = packetOf(
    proto,
    about,
    { flags: 'A', seq: 1, ack: 1 },
    { ...shape, payload: 20, extra: false, padded: false },
    eth,
  );
  return build(
    icmpError(name, source, about.src, quoted, {
      eth,
      ttl: 60,
      ...(cut === undefined ? {} : { quotedBytes: cut }),
      ...(name === 'too-big' ? { rest: 1300 } : {}),
    }),
  );
}

/** Damage of one kind to a good frame. */
export function spoiled(frame: Bytes, how: number, at: number): Bytes {
  const b = frame.slice();
  const v6 = b[12] === 0x86;
  switch (how) {
    case 0: // cut off; the kernel test-runs nothing shorter than an IP header
      return b.slice(0, Math.min(b.length, (v6 ? 54 : 34) + at));
    case 1: // a length that is larger than the frame
      b[v6 ? 19 : 17] = 255;
      return b;
    case 2: // another version
      b[14] = ((b[14] as number) & 15) | 0x50;
      return b;
    case 3: // IPv4 header length, IPv6 next header
      if (v6) b[20] = at;
      else b[14] = 0x40 | (at % 16);
      return b;
    case 4: // TCP data offset, or whatever lies there
      b[Math.min(b.length - 1, (v6 ? 54 : 34) + 12)] = at << 4;
      return b;
    case 5: // a byte
      b[14 + (at % (b.length - 14))] = at;
      return b;
    case 6: // a VLAN tag
      return concat(b.subarray(0, 12), Uint8Array.of(0x81, 0, 0, at), b.subarray(12));
    default: {
      // a shorter IP packet, padded; a length of 0 would be that of a packet of many segments
      const length = Math.max(1, b.length - 14 - (v6 ? 40 : 0) - at);
      b.set(u16(length), v6 ? 18 : 16);
      return b;
    }
  }
}
