import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ApplyError, applyOps, Updater } from '../../../src/datapath/apply.js';
import type { MapEntry } from '../../../src/datapath/store.js';
import type { DesiredService } from '../../../src/model/desired.js';
import { type PlanMap, Planner } from '../../../src/plan/index.js';
import { clusterIP, desiredService, expectedOf, nodePort, readAsDataPath } from '../../support/desired.js';
import { FakeMapStore, FaultyMapStore, SMALL_SIZES } from '../../support/mapStore.js';

const service = (name: string, n: number, backends: string[]) =>
  desiredService({ name, frontends: [clusterIP(`10.96.0.${n}`), nodePort(30000 + n)], backends });
const upsert = (...upserts: DesiredService[]) => ({ upserts, removals: [] as string[] });

function setUp(store = new FaultyMapStore()) {
  const planner = new Planner({ sizes: SMALL_SIZES });
  return { store, planner, updater: new Updater(store, planner) };
}

describe('the updater', () => {
  it('heals with the next change, whichever step failed', async () => {
    const first = [service('a', 1, ['10.1.0.1:80', '10.1.0.2:80']), service('b', 2, ['10.1.0.3:80'])];
    const second = [service('a', 1, ['10.1.0.2:80', '10.1.0.4:80'])];
    for (let failAt = 0; failAt < 60; failAt++) {
      const { store, planner, updater } = setUp();
      store.failAt = failAt;
      const errors: unknown[] = [];
      for (const delta of [
        upsert(...first),
        { upserts: second, removals: [(first[1] as DesiredService).id] },
        upsert(),
      ]) {
        try {
          updater.apply(planner.apply(delta));
        } catch (error) {
          errors.push(error);
        }
      }
      await updater.idle();
      expect(errors.length).toBeLessThanOrEqual(1);
      for (const error of errors) {
        expect(error).toBeInstanceOf(ApplyError);
        expect((error as ApplyError).code).toBe('ENOMEM');
        expect((error as Error).message).toMatch(
          /^apply '.*': .*fault on purpose \(ENOMEM\)\. \d+ steps wait/,
        );
      }
      expect(readAsDataPath(store), `fault at call ${failAt}`).toEqual(expectedOf(second));
      expect(updater.pendingOps).toBe(0);
    }
  });

  it('heals through a restart as well, whichever step failed', () => {
    fc.assert(
      fc.property(fc.nat(40), (failAt) => {
        const { store, planner, updater } = setUp();
        updater.apply(
          planner.apply(upsert(service('a', 1, ['10.1.0.1:80']), service('b', 2, ['10.1.0.2:80']))),
        );
        store.failAt = store.calls + failAt;
        const world = [service('a', 1, ['10.1.0.9:80']), service('c', 2, ['10.1.0.3:80'])];
        try {
          updater.apply(planner.reconcile(world));
        } catch {
          // The agent ends here.
        }
        const restored = new Planner({ sizes: SMALL_SIZES });
        restored.restore(store.dump());
        new Updater(store, restored).apply(restored.reconcile(world));
        expect(readAsDataPath(store)).toEqual(expectedOf(world));
      }),
    );
  });

  it('frees nothing when the grace period fails, and does so with the next one', async () => {
    const { store, planner, updater } = setUp();
    updater.apply(planner.apply(upsert(service('a', 1, ['10.1.0.1:80']))));
    store.failGrace = true;
    updater.apply(planner.apply(upsert(service('a', 1, ['10.1.0.2:80']))));
    await expect(updater.idle()).rejects.toThrow('membarrier');
    expect(planner.usage).toMatchObject({ lb_backends: 2, lb_slots: 2 });
    updater.apply(undefined);
    await updater.idle();
    expect(planner.usage).toMatchObject({ lb_backends: 1, lb_slots: 1 });
  });

  it('lets plans share a grace period instead of waiting for one each', async () => {
    const { store, planner, updater } = setUp();
    for (let i = 1; i <= 20; i++) updater.apply(planner.apply(upsert(service('a', 1, [`10.1.0.${i}:80`]))));
    expect(readAsDataPath(store)).toEqual(expectedOf([service('a', 1, ['10.1.0.20:80'])]));
    await updater.idle();
    expect(store.graces).toBeLessThanOrEqual(2);
    expect(planner.usage.lb_backends).toBe(1);
  });

  it('says when services that were left out may fit now', async () => {
    const sizes = { ...SMALL_SIZES, lb_backends: 3 };
    const store = new FakeMapStore(sizes);
    const planner = new Planner({ sizes });
    const updater = new Updater(store, planner);
    updater.apply(
      planner.apply(
        upsert(service('a', 1, ['10.1.0.1:80', '10.1.0.2:80']), service('b', 2, ['10.1.0.3:80'])),
      ),
    );
    expect(planner.leftOut).toHaveLength(1);
    updater.apply(planner.apply(upsert(service('a', 1, ['10.1.0.1:80']))));
    expect(await updater.idle()).toBe(true);
    updater.apply(planner.apply(upsert()));
    expect(await updater.idle()).toBe(false);
    expect(planner.leftOut).toEqual([]);
    expect(readAsDataPath(store).size).toBe(4);
  });
});

describe('ops', () => {
  it('of one map and kind go to the store together, without changing the order of the rest', () => {
    const calls: string[] = [];
    class Recorder extends FakeMapStore {
      override put<M extends PlanMap>(map: M, entries: readonly MapEntry<M>[]): void {
        calls.push(`${map} ${entries.length}`);
        super.put(map, entries);
      }
    }
    const planner = new Planner({ sizes: SMALL_SIZES });
    const many = [1, 2, 3].map((n) => service(`s${n}`, n, [`10.1.0.${n}:80`]));
    applyOps(new Recorder(), planner.apply(upsert(...many)).ops);
    // The addresses again at the end: only then do they refuse the ports that no frontend has.
    expect(calls).toEqual(['meta_services 3', 'lb_addresses 3', 'lb_frontends 6', 'lb_addresses 3']);
  });
});
