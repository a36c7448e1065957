/** Expiry of ct_flows: by time stamps, pair by pair, a bounded number of entries per step. */
import {
  type Abi,
  CT_F_DIRECT,
  CT_F_FIN_ORIGINAL,
  CT_F_FIN_REPLY,
  CT_F_RST,
  CT_REPLY,
  fieldOffset,
} from '../abi/index.js';
import type { MapHandle } from './handles.js';

const SECOND = 1_000_000_000n;

/** Idle time after which a flow of that state goes, in nanoseconds. */
export interface FlowTimeouts {
  /** kube-proxy's default for nf_conntrack. */
  established: bigint;
  /** One side has sent its FIN: the other may go on sending. */
  halfClosed: bigint;
  /** Both FINs were seen: the last ACKs may still be under way. */
  closing: bigint;
  reset: bigint;
  /** A half whose other half is gone. */
  orphan: bigint;
}

export const DEFAULT_TIMEOUTS: FlowTimeouts = {
  established: 86_400n * SECOND,
  halfClosed: 3_600n * SECOND,
  closing: 60n * SECOND,
  reset: 10n * SECOND,
  orphan: 30n * SECOND,
};

/** How long a flow with these flags (of either half) may be idle. */
export function timeoutOf(
  flags: number,
  timeouts: FlowTimeouts = DEFAULT_TIMEOUTS,
  isAnswered = true,
): bigint {
  if (flags & CT_F_RST) return timeouts.reset;
  // A straight connection is established with its first packet.
  if (flags & CT_F_DIRECT && !isAnswered) return timeouts.closing;
  const fins = flags & (CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY);
  if (fins === (CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY)) return timeouts.closing;
  return fins ? timeouts.halfClosed : timeouts.established;
}

export interface SweepResult {
  seen: number;
  /** Pairs removed. */
  expired: number;
  /** Halves removed whose other half was gone. */
  orphans: number;
  /** The step reached the end of the table; the next one begins anew. */
  isPassDone: boolean;
}

const FEWEST_PER_STEP = 1024;
/** A pass over the whole table takes no more steps than this: eight seconds of the agent's. */
const STEPS_PER_PASS = 80;
/** From this share of the table on, connections that have ended are kept for less and less time. */
const CROWDED = 0.5;
/** The last ACKs of a closed connection are under way no longer. */
const CLOSING_CROWDED = 2n * SECOND;

/**
 * Timeouts for a table that is `fill` (0 to 1) full. A connection that has ended only keeps its tuple from being
 * reused at once; better reuse than a refusal of new connections.
 */
export function timeoutsAt(fill: number, timeouts: FlowTimeouts = DEFAULT_TIMEOUTS): FlowTimeouts {
  if (fill <= CROWDED) return timeouts;
  const rest = BigInt(Math.round(Math.max(0, (1 - fill) / (1 - CROWDED)) * 1000));
  const shorten = (t: bigint) => later((t * rest) / 1000n, t < CLOSING_CROWDED ? t : CLOSING_CROWDED);
  return { ...timeouts, closing: shorten(timeouts.closing), reset: shorten(timeouts.reset) };
}

/** Walks the table in steps; between steps it holds only its place. */
export class FlowSweeper {
  readonly #map: MapHandle;
  readonly #now: () => bigint;
  readonly #configured: FlowTimeouts;
  #timeouts: FlowTimeouts;
  #shortest: bigint;
  /** Entries of this pass so far, and of the last one. */
  #seen = 0;
  #entries = 0;
  readonly #peer: [start: number, end: number];
  readonly #dir: number;
  readonly #flags: number;
  readonly #packets: number;
  readonly #lastSeen: number;
  readonly #created: number;
  #iterator: IterableIterator<[Uint8Array, Uint8Array]> | undefined;

  constructor(options: { abi: Abi; map: MapHandle; now: () => bigint; timeouts?: FlowTimeouts }) {
    const flow = options.abi.layout('ct_flow');
    const tuple = options.abi.layout('ct_tuple');
    const peer = fieldOffset(flow, 'peer');
    this.#map = options.map;
    this.#now = options.now;
    this.#configured = options.timeouts ?? DEFAULT_TIMEOUTS;
    this.#timeouts = this.#configured;
    this.#shortest = shortestOf(this.#timeouts);
    this.#peer = [peer, peer + tuple.size];
    this.#dir = fieldOffset(tuple, 'dir');
    this.#flags = fieldOffset(flow, 'flags');
    this.#packets = fieldOffset(flow, 'packets');
    this.#lastSeen = fieldOffset(flow, 'last_seen_ns');
    this.#created = fieldOffset(flow, 'created_ns');
  }

  /**
   * Looks at up to `limit` entries and removes what has expired. Times are CLOCK_MONOTONIC. Without a limit the
   * pace follows the size of the table.
   */
  step(limit = Math.max(FEWEST_PER_STEP, Math.ceil(this.#entries / STEPS_PER_PASS))): SweepResult {
    const result: SweepResult = { seen: 0, expired: 0, orphans: 0, isPassDone: false };
    this.#iterator ??= this.#map.entries();
    const now = this.#now();
    while (result.seen < limit) {
      const next = this.#iterator.next();
      if (next.done) {
        this.#iterator = undefined;
        result.isPassDone = true;
        this.#endPass();
        break;
      }
      result.seen++;
      this.#seen++;
      const [key, value] = next.value;
      // Busy entries, nearly all of them, cost no system call of their own.
      if (now - this.#lastUse(value) >= this.#shortest) this.#judge(key, now, result);
    }
    return result;
  }

  #endPass(): void {
    this.#entries = this.#seen;
    this.#seen = 0;
    this.#timeouts = timeoutsAt(this.#entries / this.#map.info.maxEntries, this.#configured);
    this.#shortest = shortestOf(this.#timeouts);
  }

  #judge(key: Uint8Array, now: bigint, result: SweepResult): void {
    // The copy from the walk may be old by now; the flow may have spoken since.
    const value = this.#map.lookup(key);
    if (!value) return;
    const peerKey = value.slice(...this.#peer);
    const peer = this.#map.lookup(peerKey);
    if (!peer || !isSame(peer.subarray(...this.#peer), key)) {
      if (now - this.#lastUse(value) < this.#timeouts.orphan) return;
      if (this.#map.delete(key)) result.orphans++;
      return;
    }
    const last = later(this.#lastUse(value), this.#lastUse(peer));
    const isReply = key[this.#dir] === CT_REPLY;
    const flags = this.#flagsOf(value) | this.#flagsOf(peer);
    const isAnswered = word64(isReply ? value : peer, this.#packets) > 0n;
    if (now - last < timeoutOf(flags, this.#timeouts, isAnswered)) return;
    // The original half first: while the reply half stands, nobody else can take its tuple.
    this.#map.delete(isReply ? peerKey : key);
    this.#map.delete(isReply ? key : peerKey);
    result.expired++;
  }

  #lastUse(value: Uint8Array): bigint {
    return later(word64(value, this.#lastSeen), word64(value, this.#created));
  }

  #flagsOf(value: Uint8Array): number {
    return new DataView(value.buffer, value.byteOffset).getUint32(this.#flags, true);
  }
}

function word64(bytes: Uint8Array, at: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);
}

function shortestOf({ established, halfClosed, closing, reset, orphan }: FlowTimeouts): bigint {
  return [established, halfClosed, closing, reset, orphan].reduce(sooner);
}

function sooner(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
