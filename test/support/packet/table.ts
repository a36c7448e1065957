import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LbSettings } from '../../../src/abi/index.js';
import { build } from './build.js';
import { type Bytes, equal } from './bytes.js';
import { explain, explainDiff } from './explain.js';
import { DEVICES, type DeviceName } from './netns.js';
import { DEFAULT_ETHERNET } from './shorthand.js';
import type { Ethernet, Packet } from './spec.js';
import type { ProgramName, Verdict } from './test-run.js';
import { type Counters, endpoint, PacketWorld } from './world.js';

/** One packet through one program, and all that must be true afterwards. */
export interface Step {
  program: ProgramName;
  on: DeviceName;
  /** tc egress: the device that it came in by. Left out: a socket of this node sent it. */
  cameBy?: DeviceName;
  gsoSize?: number;
  /** A builder's default Ethernet header becomes that of a neighbour on the device. */
  in: Packet | Bytes;
  verdict: Verdict;
  /** Left out only when the packet is dropped. A default Ethernet header means: as `frame` says. */
  out?: Packet | Bytes | 'unchanged';
  /** Only the checksums of `out` are looked at: its bytes depend on chance. */
  anyOut?: true;
  /** The Ethernet addresses that `out` leaves with ('same'). */
  frame?: 'same' | 'swapped' | Ethernet;
  /** Counted by this packet and no others (none). Names without prefix. */
  paths?: Record<string, number>;
  drops?: Record<string, number>;
  /** Counted for services, by id (none). `true`: not looked at. */
  services?: Counters['services'] | true;
  /** All flow entries there are afterwards; see flowPair(). Left out: not looked at. */
  flows?: string[];
  /** What is wrong with the packet that comes out, where it goes in wrong (nothing). */
  problems?: string[];
  /** The packet is not sent when this says so; asked after `before`. */
  skipWhen?: (world: PacketWorld) => boolean;
  /** Changes state before the packet. */
  before?: (world: PacketWorld) => void;
  /** Looks at state after it. */
  after?: (world: PacketWorld) => void;
}

export type Given = (world: PacketWorld) => void;

export interface Row {
  /** What the data path does, as a sentence. */
  does: string;
  given?: Given;
  steps: Step[];
}

/**
 * A table of packet tests. The object is loaded once with these settings; each row starts from a
 * cleared state.
 */
export function packetTable(name: string, rows: Row[], settings: Partial<LbSettings> = {}): void {
  describe(name, () => {
    let world: PacketWorld;
    beforeAll(async () => {
      world = await PacketWorld.open(settings);
    });
    afterAll(() => world?.object.close());
    it.each(rows.map((row) => [row.does, row] as const))('%s', (_does, row) => {
      world.reset();
      row.given?.(world);
      row.steps.forEach((step, i) => {
        try {
          runStep(world, step);
        } catch (e) {
          const where = row.steps.length > 1 ? `packet ${i + 1} of ${row.steps.length}: ` : '';
          (e as Error).message = `${where}${(e as Error).message}`;
          throw e;
        }
      });
    });
  });
}

function runStep(world: PacketWorld, step: Step): void {
  step.before?.(world);
  if (step.skipWhen?.(world)) return;
  const frame = bytesOf(step.in, arriving(step));
  const before = world.counters();
  const result = world.run(step.program, frame, step.on, {
    ...(step.cameBy ? { cameBy: DEVICES[step.cameBy].ifindex } : {}),
    ...(step.gsoSize === undefined ? {} : { gsoSize: step.gsoSize }),
  });
  const counted = difference(world.counters(), before);
  const dropped = step.verdict === 'TC_ACT_SHOT' || step.verdict === 'XDP_DROP';
  if (result.verdict !== step.verdict) {
    const what = `verdict is ${result.verdict}, expected ${step.verdict}; counted ${JSON.stringify(counted)}`;
    expect.fail(`${what}\n${explainDiff(frame, result.out, ['sent', 'came out'])}`);
  }
  if (step.anyOut) {
    expect(result.problems, explainLines(result.out)).toEqual([]);
  } else if (!dropped) {
    if (step.out === undefined) throw new Error('read row: `out` is missing. Give it or expect a drop.');
    const wanted = step.out === 'unchanged' ? frame : bytesOf(step.out, leaving(step, frame));
    if (!equal(wanted, result.out)) expect.fail(`the packet differs\n${explainDiff(wanted, result.out)}`);
    if (step.out !== 'unchanged')
      expect(result.problems, explainLines(result.out)).toEqual(step.problems ?? []);
  }
  const services = step.services === true ? counted.services : (step.services ?? {});
  expect(counted, 'counted by this packet').toEqual({
    paths: step.paths ?? {},
    drops: step.drops ?? {},
    services,
  });
  if (step.flows) expect(world.flows(), 'flow entries').toEqual([...step.flows].sort());
  step.after?.(world);
}

const explainLines = (frame: Bytes): string =>
  explain(frame)
    .map(([k, v]) => `${k}: ${v}`)
    .join('\n');

function arriving(step: Step): Ethernet {
  const { mac, peerMac } = DEVICES[step.on];
  return step.program.endsWith('_out') ? { dst: peerMac, src: mac } : { dst: mac, src: peerMac };
}

function leaving(step: Step, frame: Bytes): Ethernet {
  const { dst, src } =
    typeof step.in === 'object' && 'eth' in step.in && step.in.eth !== DEFAULT_ETHERNET
      ? (step.in.eth ?? arriving(step))
      : arriving(step);
  if (step.frame === 'swapped') return { dst: src, src: dst };
  if (typeof step.frame === 'object') return step.frame;
  if (frame.length < 12) throw new Error('read row: the packet has no Ethernet header.');
  return { dst, src };
}

/** The frame of a packet that arrives by a device. */
export const frameOn = (p: Packet, on: DeviceName): Bytes =>
  bytesOf(p, { dst: DEVICES[on].mac, src: DEVICES[on].peerMac });

const bytesOf = (p: Packet | Bytes, eth: Ethernet): Bytes =>
  p instanceof Uint8Array ? p : build(p.eth === DEFAULT_ETHERNET ? { ...p, eth } : p);

function difference(after: Counters, before: Counters): Counters {
  const minus = <T extends Record<string, number | undefined>>(a: T, b: T | undefined): T => {
    const entries = Object.entries(a).map(([k, n]) => [k, (n ?? 0) - (b?.[k] ?? 0)] as const);
    return Object.fromEntries(entries.filter(([, n]) => n !== 0)) as T;
  };
  const services = Object.entries(after.services)
    .map(([id, s]) => [id, minus(s, before.services[Number(id)])] as const)
    .filter(([, s]) => Object.keys(s).length > 0);
  return {
    paths: minus(after.paths, before.paths),
    drops: minus(after.drops, before.drops),
    services: Object.fromEntries(services),
  };
}

export interface PairSpec {
  table: 'half_open' | 'flows' | 'any';
  proto?: 'tcp' | 'udp' | 'sctp';
  from: string;
  to: string;
  /** Source as the backend sees it (`from`). */
  as?: string;
  backend: string;
  /** CT_F_* without the prefix, in the order of their values; of both directions. */
  flags?: string;
  /** Of the entry in reply direction, where different. */
  replyFlags?: string;
  /** The second pair of a flow through the stack: original entries have this direction. */
  middle?: boolean;
}

/**
 * Both entries of a flow as PacketWorld.flows() prints them:
 * `<table> <direction> <proto> <tuple as it arrives> = <tuple as it leaves> <flags>`.
 */
export function flowPair(o: PairSpec): [string, string] {
  const as = o.as ?? o.from;
  const proto = o.proto ?? 'tcp';
  const tail = (flags: string | undefined) => (flags ? ` ${flags}` : '');
  const direction = o.middle ? 'middle' : 'original';
  return [
    `${o.table} ${direction} ${proto} ${o.from} > ${o.to} = ${as} > ${o.backend}${tail(o.flags)}`,
    `${o.table} reply ${proto} ${o.backend} > ${as} = ${o.to} > ${o.from}${tail(o.replyFlags ?? o.flags)}`,
  ];
}

export { endpoint };
