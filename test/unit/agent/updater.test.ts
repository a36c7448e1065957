import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { NodeAddress } from '../../../src/agent/addresses.js';
import { newCounters } from '../../../src/agent/counters.js';
import { type Delta, Updater, type UpdaterOptions } from '../../../src/agent/updater.js';
import type { ClusterRanges } from '../../../src/model/desired.js';
import type { Change, ServiceObject } from '../../../src/model/objects.js';

interface FakeService {
  id: string;
  value: string;
}

const log = pino({ level: 'silent' });
const ADDRESSES: NodeAddress[] = [{ ip: '10.0.0.1', nodePorts: true, loopback: false, primary: true }];

/** One service per object, its value the object's uid. */
class FakeModel {
  batches: string[][] = [];
  addresses: string[] = [];
  stats = { servicesRecomputed: 0 };
  clusterRanges: ClusterRanges = { service: [], foreign: [] };
  #services = new Map<string, FakeService>();
  apply(changes: readonly Change[]): Delta<FakeService> {
    this.batches.push(changes.map((c) => c.key));
    const range = changes.find((c) => c.kind === 'ServiceCIDR');
    if (range) {
      this.clusterRanges = { service: [range.key], foreign: [] };
      return { upserts: [], removals: [], warnings: [], clusterRanges: this.clusterRanges };
    }
    if (changes.some((c) => c.key === 'bad')) throw new Error('cannot digest');
    const upserts = changes.flatMap((c) =>
      c.object ? [{ id: c.key, value: (c.object as ServiceObject).uid ?? '' }] : [],
    );
    const removals = changes.filter((c) => !c.object).map((c) => c.key);
    for (const service of upserts) this.#services.set(service.id, service);
    for (const id of removals) this.#services.delete(id);
    this.stats.servicesRecomputed += changes.length;
    return { upserts, removals, warnings: [] };
  }
  setNodeAddresses(addresses: readonly string[]): Delta<FakeService> {
    this.addresses = [...addresses];
    return { upserts: [], removals: [], warnings: [] };
  }
  desired = () => [...this.#services.values()];
}

/** Maps as text; fails while `failures` is above zero. */
class FakeProgrammer {
  calls: string[] = [];
  maps = new Map<string, string>();
  ranges: readonly string[] = [];
  failures = 0;
  async restore() {
    this.calls.push('restore');
  }
  async apply(delta: Delta<FakeService>) {
    this.calls.push(`apply +${delta.upserts.length} -${delta.removals.length}`);
    if (this.failures-- > 0) throw new Error('E2BIG');
    if (delta.clusterRanges) this.ranges = delta.clusterRanges.service;
    for (const service of delta.upserts) this.maps.set(service.id, service.value);
    for (const id of delta.removals) this.maps.delete(id);
    return delta.upserts.length + delta.removals.length;
  }
  async reconcile(wanted: FakeService[], ranges: ClusterRanges) {
    this.calls.push(`reconcile ${wanted.length}`);
    if (this.failures-- > 0) throw new Error('E2BIG');
    this.ranges = ranges.service;
    this.maps = new Map(wanted.map((s) => [s.id, s.value]));
    return wanted.length;
  }
  async setNodeAddresses(addresses: NodeAddress[]) {
    this.calls.push(`addresses ${addresses.length}`);
    return 1;
  }
}

function setup(more: Partial<UpdaterOptions<FakeService>> = {}) {
  const programmer = new FakeProgrammer();
  const counters = newCounters();
  const model = new FakeModel();
  let servings = 0;
  const updater = new Updater<FakeService>({
    model,
    programmer,
    counters,
    log,
    onWarning: () => {},
    onServing: () => servings++,
    mergeMs: 2,
    retryMs: { first: 5, most: 20 },
    ...more,
  });
  return { updater, programmer, counters, model, servings: () => servings };
}

const set = (key: string, uid = '1'): Change => ({ kind: 'Service', key, object: { uid } as ServiceObject });
const gone = (key: string): Change => ({ kind: 'Service', key, object: undefined });
const settle = (ms = 30) => new Promise((resolve) => setTimeout(resolve, ms));

describe('Updater', () => {
  it('writes nothing before every watch has listed and the addresses are known', async () => {
    const { updater, programmer, servings } = setup();
    programmer.maps.set('from-before', '0');
    updater.enqueue([set('a')]);
    await settle();
    updater.setNodeAddresses(ADDRESSES);
    await settle();
    expect(programmer.calls).toEqual([]);
    updater.markSynced();
    await settle();
    expect(programmer.calls).toEqual(['restore', 'addresses 1', 'reconcile 1']);
    expect([...programmer.maps.keys()]).toEqual(['a']);
    expect(servings()).toBe(1);
  });

  it('waits for the addresses when the watches are faster', async () => {
    const { updater, programmer } = setup();
    updater.enqueue([set('a')]);
    updater.markSynced();
    await settle();
    expect(programmer.calls).toEqual([]);
    updater.setNodeAddresses(ADDRESSES);
    await settle();
    expect(programmer.calls.at(-1)).toBe('reconcile 1');
  });

  it('merges a burst into one plan and never compares everything for it', async () => {
    const { updater, programmer, counters, model } = setup();
    updater.setNodeAddresses(ADDRESSES);
    updater.markSynced();
    await settle();
    for (let i = 0; i < 50; i++) updater.enqueue([set(`s${i}`)]);
    await settle();
    expect(model.batches.at(-1)).toHaveLength(50);
    expect(programmer.calls.slice(3)).toEqual(['apply +50 -0']);
    updater.enqueue([gone('s7')]);
    await settle();
    expect(programmer.calls.at(-1)).toBe('apply +0 -1');
    expect(counters.fullResyncs).toBe(1);
    expect(counters.events).toBe(51);
    expect(updater.latencyMs.count).toBe(51);
    expect(updater.services).toBe(49);
  });

  it('compares everything after an error, with back-off, and loses no change', async () => {
    const { updater, programmer, counters } = setup();
    updater.setNodeAddresses(ADDRESSES);
    updater.markSynced();
    await settle();
    programmer.failures = 3;
    updater.enqueue([set('a')]);
    await settle(4);
    updater.enqueue([set('b')]);
    await settle(150);
    expect([...programmer.maps.keys()].sort()).toEqual(['a', 'b']);
    expect(counters.applyErrors).toBe(3);
    expect(counters.fullResyncs).toBe(4);
    expect(updater.latencyMs.count).toBe(2);
  });

  it('writes changed ranges by themselves, and again when everything is compared', async () => {
    const { updater, programmer } = setup();
    const range = (key: string): Change => ({
      kind: 'ServiceCIDR',
      key,
      object: { name: key, cidrs: [key] },
    });
    updater.setNodeAddresses(ADDRESSES);
    updater.enqueue([range('10.96.0.0/16')]);
    updater.markSynced();
    await settle();
    expect(programmer.ranges).toEqual(['10.96.0.0/16']);
    updater.enqueue([range('10.97.0.0/16')]);
    await settle();
    expect(programmer.calls.slice(3)).toEqual(['apply +0 -0']);
    expect(programmer.ranges).toEqual(['10.97.0.0/16']);
    programmer.failures = 1;
    updater.enqueue([range('10.98.0.0/16')]);
    await settle(100);
    expect(programmer.calls.at(-1)).toBe('reconcile 0');
    expect(programmer.ranges).toEqual(['10.98.0.0/16']);
  });

  it('leaves out an object that the model cannot digest and keeps the others', async () => {
    const { updater, programmer } = setup();
    updater.setNodeAddresses(ADDRESSES);
    updater.markSynced();
    updater.enqueue([set('a'), set('bad'), set('b')]);
    await settle();
    expect([...programmer.maps.keys()]).toEqual(['a', 'b']);
  });

  it('writes changed addresses and ignores equal ones', async () => {
    const { updater, programmer } = setup();
    updater.setNodeAddresses(ADDRESSES);
    updater.markSynced();
    await settle();
    updater.setNodeAddresses(structuredClone(ADDRESSES));
    await settle();
    expect(programmer.calls).toHaveLength(3);
    updater.setNodeAddresses([
      ...ADDRESSES,
      { ip: '10.0.0.2', nodePorts: true, loopback: false, primary: false },
    ]);
    await settle();
    expect(programmer.calls.slice(3)).toEqual(['addresses 2']);
  });

  it('stops after the plan that is being written', async () => {
    const { updater, programmer } = setup();
    updater.setNodeAddresses(ADDRESSES);
    updater.markSynced();
    await settle();
    updater.enqueue([set('a')]);
    await updater.stop();
    updater.enqueue([set('b')]);
    await settle();
    expect(programmer.calls).toHaveLength(3);
  });
});
