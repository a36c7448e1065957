// Connections as the data path must remember them. One object for both directions; time is virtual.
import { PROTOCOL } from '../packet/index.js';
import { type Backend, type Ends, endsKey, mirror, type Settings } from './types.js';
import type { View } from './view.js';

/** front: client -> service. middle: client -> backend, as the stack saw it; SNAT at egress. */
export type Role = 'front' | 'middle';

export interface NextHop {
  at: number;
  generation: number;
  mtu: number;
  macs: { dst: string; src: string };
}

export interface Conn {
  proto: number;
  role: Role;
  /** As the client's packets arrive, and as they leave. */
  arrives: Ends;
  leaves: Ends;
  serviceId: number;
  backend: Backend;
  generation: number;
  external: boolean;
  way: 'local' | 'past' | 'hairpin' | 'node' | 'middle';
  viaXdp: boolean;
  /** The client's side: a pod's device, the wire, this node's sockets. */
  from: string;
  midstream: boolean;
  /** A middle pair: its first packet has passed. Until then its port is not ours to restore. */
  used: boolean;
  established: boolean;
  seenReply: boolean;
  /** ACK number that ends the handshake. */
  promotes: number | undefined;
  /** Established: the last ACK number of either side. */
  acked: { original: number; reply: number };
  fin: { original: boolean; reply: boolean };
  rst: boolean;
  created: number;
  seen: number;
  hops: { original?: NextHop; reply?: NextHop };
}

export type Direction = 'original' | 'reply';

const SECONDS = { udp: 60, udpStream: 120, sctpStream: 210, halfOpen: 10, closing: 60, reclaim: 2 };
const near = (value: number, from: number, window: number) => (value - from) >>> 0 < window;

/** Are replies restored where they arrive, or at egress towards the client? */
export const isRestoredAtIngress = (c: Conn): boolean => c.way !== 'local';
export const replyKey = (c: Conn): string => endsKey(c.proto, mirror(c.leaves));
export const isClosing = (c: Conn): boolean => c.rst || (c.fin.original && c.fin.reply);

export class FlowBook {
  now = 0;
  readonly #forward: Record<Role, Map<string, Conn>> = { front: new Map(), middle: new Map() };
  readonly #back = new Map<string, Conn>();
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  find(role: Role, proto: number, ends: Ends): Conn | undefined {
    return this.#forward[role].get(endsKey(proto, ends));
  }

  findReply(proto: number, ends: Ends): Conn | undefined {
    return this.#back.get(endsKey(proto, ends));
  }

  *all(): IterableIterator<Conn> {
    yield* this.#forward.front.values();
    yield* this.#forward.middle.values();
  }

  isExpired(c: Conn): boolean {
    if (c.proto === PROTOCOL.tcp) return false;
    const streaming = c.proto === PROTOCOL.sctp ? SECONDS.sctpStream : SECONDS.udpStream;
    return this.now - c.seen > (c.seenReply ? streaming : SECONDS.udp);
  }

  remove(c: Conn): void {
    this.#drop(this.#forward[c.role], endsKey(c.proto, c.arrives), c);
    this.#drop(this.#back, replyKey(c), c);
  }

  #drop(map: Map<string, Conn>, key: string, c: Conn): void {
    if (map.get(key) === c) map.delete(key);
  }

  /** Takes the reply tuple of `c` if it is free, or its owner's connection is over. */
  tryAdd(c: Conn, impatient: boolean): boolean {
    const owner = this.#back.get(replyKey(c));
    if (owner) {
      const own = owner.role === c.role && endsKey(c.proto, owner.arrives) === endsKey(c.proto, c.arrives);
      if (!own && !this.#mayTake(owner, impatient)) return false;
      if (!own) this.remove(owner);
    }
    this.#back.set(replyKey(c), c);
    this.#forward[c.role].set(endsKey(c.proto, c.arrives), c);
    return true;
  }

  #mayTake(owner: Conn, impatient: boolean): boolean {
    if (owner.proto !== PROTOCOL.tcp) return this.isExpired(owner);
    if (isClosing(owner)) return impatient || this.now - owner.seen > SECONDS.closing;
    return !owner.established && this.now - owner.created > (impatient ? 1 : SECONDS.halfOpen);
  }

  /** Is this the client's answer to the backend's first packet? */
  endsHandshake(c: Conn, v: View): boolean {
    if (c.proto !== PROTOCOL.tcp || c.established || c.promotes === undefined) return false;
    if (!v.flags.includes('A') || /[SR]/.test(v.flags)) return false;
    return near(v.ack, c.promotes, 65536);
  }

  /** False: the table of established connections is full, also without those that have ended. */
  establish(c: Conn, v: View): boolean {
    if (this.#room() < 2) {
      const ended = (o: Conn) => o.established && isClosing(o) && this.now - o.seen > SECONDS.reclaim;
      for (const other of [...this.all()].filter(ended)) this.remove(other);
    }
    if (this.#room() < 2) return false;
    c.established = true;
    c.seenReply = true;
    c.acked = { original: v.ack, reply: v.seq };
    return true;
  }

  #room(): number {
    let room = this.#settings.establishedMax;
    for (const other of this.all()) if (other.established) room -= 2;
    return room;
  }

  /** A packet of the backend before the connection is established. */
  noteAnswer(c: Conn, v: View): void {
    if (c.proto !== PROTOCOL.tcp || c.established || v.flags.includes('R')) return;
    const both = v.flags.includes('S') && v.flags.includes('A');
    if (both) c.promotes = (v.seq + 1) >>> 0;
    else if (c.midstream && c.promotes === undefined) c.promotes = v.seq;
  }

  touch(c: Conn, d: Direction, v: View): void {
    if (c.proto === PROTOCOL.tcp && v.kind === 'ports') {
      const other = d === 'original' ? c.acked.reply : c.acked.original;
      const ends = /[FR]/.test(v.flags);
      const plausible = !c.established || near(v.seq, other, v.flags.includes('R') ? 2 ** 24 : 2 ** 30);
      if (!ends || plausible) {
        if (v.flags.includes('F')) c.fin[d] = true;
        c.rst = v.flags.includes('R');
      }
      if (c.established && v.flags.includes('A')) c.acked[d] = v.ack;
    }
    if (d === 'reply') c.seenReply = true;
    c.seen = this.now;
  }
}
