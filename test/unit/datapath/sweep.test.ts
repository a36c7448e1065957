import { describe, expect, it } from 'vitest';
import { CT_F_DIRECT, CT_F_FIN_ORIGINAL, CT_F_FIN_REPLY, CT_F_RST } from '../../../src/abi/generated.js';
import type { Abi } from '../../../src/abi/index.js';
import type { MapHandle } from '../../../src/datapath/handles.js';
import { DEFAULT_TIMEOUTS, FlowSweeper, timeoutOf, timeoutsAt } from '../../../src/datapath/sweep.js';

const SECOND = 1_000_000_000n;

// A miniature of the layouts: the sweeper takes offsets from whatever object is loaded.
const field = (name: string, offset: number) => ({ name, offset });
const layouts: Record<string, unknown> = {
  ct_tuple: { size: 8, fields: [field('id', 0), field('dir', 4)] },
  ct_flow: {
    size: 40,
    fields: [
      ...[field('peer', 0), field('created_ns', 8), field('last_seen_ns', 16)],
      ...[field('flags', 24), field('packets', 32)],
    ],
  },
};
const abi = { layout: (name: string) => layouts[name] } as unknown as Abi;

const key = (id: number, dir: number) => Uint8Array.of(id, 0, 0, 0, dir, 0, 0, 0);

function value(peer: Uint8Array, seen: bigint, flags: number, packets = 0): Uint8Array {
  const bytes = new Uint8Array(40);
  bytes.set(peer);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(16, seen, true);
  view.setUint32(24, flags, true);
  view.setBigUint64(32, BigInt(packets), true);
  return bytes;
}

class Table {
  readonly rows = new Map<string, [Uint8Array, Uint8Array]>();
  readonly deleted: string[] = [];
  lookups = 0;
  maxEntries = 1000;
  beforeLookup: () => void = () => {};

  pair(id: number, seen: bigint, flags = 0): void {
    this.set(key(id, 0), value(key(id, 1), seen, flags));
    this.set(key(id, 1), value(key(id, 0), seen, 0));
  }

  set(k: Uint8Array, v: Uint8Array): void {
    this.rows.set(k.join(), [k, v]);
  }

  get handle(): MapHandle {
    const { rows, deleted } = this;
    const lookup = (k: Uint8Array) => {
      this.lookups++;
      this.beforeLookup();
      return rows.get(k.join())?.[1];
    };
    const remove = (k: Uint8Array) => {
      deleted.push(`${k[0]}:${k[4]}`);
      return rows.delete(k.join());
    };
    const info = { maxEntries: this.maxEntries };
    return {
      info,
      lookup,
      delete: remove,
      entries: () => [...rows.values()].values(),
    } as unknown as MapHandle;
  }
}

describe('expiry of flows', () => {
  it('depends on who has ended the connection', () => {
    const seconds = (flags: number) => timeoutOf(flags) / SECOND;
    expect(seconds(0)).toBe(86_400n);
    expect(seconds(CT_F_FIN_ORIGINAL)).toBe(3_600n);
    expect(seconds(CT_F_FIN_REPLY)).toBe(3_600n);
    expect(seconds(CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY)).toBe(60n);
    expect(seconds(CT_F_FIN_ORIGINAL | CT_F_RST)).toBe(10n);
  });

  it('removes the original half first: the reply half reserves its tuple until then', () => {
    const table = new Table();
    table.pair(1, 0n);
    new FlowSweeper({ abi, map: table.handle, now: () => DEFAULT_TIMEOUTS.established }).step();
    expect(table.deleted).toEqual(['1:0', '1:1']);
    const reversed = new Table();
    reversed.set(key(1, 1), value(key(1, 0), 0n, 0));
    reversed.set(key(1, 0), value(key(1, 1), 0n, 0));
    new FlowSweeper({ abi, map: reversed.handle, now: () => DEFAULT_TIMEOUTS.established }).step();
    expect(reversed.deleted).toEqual(['1:0', '1:1']);
  });

  it('keeps a straight connection that nobody answers for a minute only', () => {
    for (const [answers, expired] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const table = new Table();
      table.set(key(1, 0), value(key(1, 1), 0n, CT_F_DIRECT, 3));
      table.set(key(1, 1), value(key(1, 0), 0n, CT_F_DIRECT, answers));
      const result = new FlowSweeper({ abi, map: table.handle, now: () => DEFAULT_TIMEOUTS.closing }).step();
      expect(result).toMatchObject({ expired });
    }
  });

  it('spares a flow that spoke after the walk had read it', () => {
    const table = new Table();
    const now = DEFAULT_TIMEOUTS.established * 2n;
    table.pair(1, 0n);
    table.beforeLookup = () => table.pair(1, now);
    const result = new FlowSweeper({ abi, map: table.handle, now: () => now }).step();
    expect(result).toMatchObject({ seen: 2, expired: 0, orphans: 0 });
    expect(table.deleted).toEqual([]);
  });

  it('takes a half whose other half points elsewhere for an orphan', () => {
    const table = new Table();
    table.set(key(1, 0), value(key(1, 1), 0n, 0));
    table.set(key(1, 1), value(key(2, 0), 40n * SECOND, 0));
    const sweeper = new FlowSweeper({ abi, map: table.handle, now: () => 45n * SECOND });
    expect(sweeper.step()).toMatchObject({ expired: 0, orphans: 1 });
    expect(table.deleted).toEqual(['1:0']);
  });

  it('asks the kernel nothing about flows that are in use, and keeps its place between steps', () => {
    const table = new Table();
    for (let id = 1; id <= 50; id++) table.pair(id, 100n * SECOND);
    const sweeper = new FlowSweeper({ abi, map: table.handle, now: () => 101n * SECOND });
    expect(sweeper.step(60)).toMatchObject({ seen: 60, isPassDone: false });
    expect(sweeper.step(60)).toMatchObject({ seen: 40, isPassDone: true });
    expect(table.lookups).toBe(0);
  });

  it('keeps ended connections for less time the fuller the table is, and live ones as long as ever', () => {
    const seconds = (fill: number) => Number(timeoutsAt(fill).closing) / 1e9;
    expect([0, 0.5, 0.75, 0.9, 1].map(seconds)).toEqual([60, 60, 30, 12, 2]);
    const { closing: _, reset: __, ...live } = timeoutsAt(1);
    expect(DEFAULT_TIMEOUTS).toMatchObject(live);
  });

  it('makes room in a crowded table, pass by pass', () => {
    const table = new Table();
    table.maxEntries = 200;
    for (let id = 1; id <= 50; id++) table.pair(id, 100n * SECOND);
    for (let id = 51; id <= 100; id++) table.pair(id, 100n * SECOND, CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY);
    const sweeper = new FlowSweeper({ abi, map: table.handle, now: () => 105n * SECOND });
    expect(sweeper.step()).toMatchObject({ isPassDone: true, expired: 0 });
    expect(sweeper.step()).toMatchObject({ isPassDone: true, expired: 50 });
    expect(table.rows.size).toBe(100);
  });

  it('takes larger steps through a larger table: a pass never lasts longer than 80 steps', () => {
    const table = new Table();
    table.maxEntries = 1_000_000;
    for (let id = 0; id < 100_000; id++) {
      const k = Uint8Array.of(id, id >> 8, id >> 16, 0, 0, 0, 0, 0);
      table.set(k, value(k, 100n * SECOND, 0));
    }
    const sweeper = new FlowSweeper({ abi, map: table.handle, now: () => 101n * SECOND });
    const pass = () => {
      let steps = 1;
      while (!sweeper.step().isPassDone) steps++;
      return steps;
    };
    expect(pass()).toBe(98);
    expect(pass()).toBe(81);
  });
});
