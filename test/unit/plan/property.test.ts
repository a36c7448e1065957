// Random histories of desired states against a simulated data path that reads after every single step.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ADDRESS_F_CLUSTER_IP, FRONTEND_CLUSTER_IP } from '../../../src/abi/index.js';
import { applyOps } from '../../../src/datapath/apply.js';
import type { DesiredFrontend, DesiredService } from '../../../src/model/desired.js';
import { type Op, type Plan, Planner } from '../../../src/plan/index.js';
import { desiredService, expectedOf, readAsDataPath } from '../../support/desired.js';
import { FakeMapStore, SMALL_SIZES } from '../../support/mapStore.js';

// Room for every Maglev table of a history at once: tables that are full have tests of their own.
const SIZES = { ...SMALL_SIZES, lb_slots: 65_536 };
const NAMES = ['a', 'b', 'c', 'd'];
const FRONTENDS: DesiredFrontend[] = [
  { type: 'ClusterIP', ip: '10.96.0.1', port: 80 },
  { type: 'ClusterIP', ip: '10.96.0.1', port: 443 },
  { type: 'ClusterIP', ip: '10.96.0.2', port: 80 },
  { type: 'NodePort', ip: '*', port: 30001 },
  { type: 'NodePort', ip: '*', port: 30002 },
  { type: 'LoadBalancer', ip: '192.0.2.1', port: 80 },
  { type: 'ExternalIP', ip: '10.96.0.2', port: 8080 },
];
const RANGES = [undefined, [], ['10.0.0.0/8'], ['10.0.0.0/8', '192.168.1.0/24']];

const backendSpec = fc.record({
  host: fc.integer({ min: 1, max: 5 }),
  port: fc.constantFrom(80, 8080),
  inInternal: fc.boolean(),
  inCluster: fc.boolean(),
  inLocal: fc.boolean(),
  terminating: fc.boolean(),
  nodeName: fc.constantFrom('n1', 'n2'),
});

const serviceSpec = fc.record({
  isThere: fc.boolean(),
  backends: fc.uniqueArray(backendSpec, { maxLength: 5, selector: (b) => `${b.host}:${b.port}` }),
  algorithm: fc.constantFrom('random' as const, 'random' as const, 'maglev' as const),
  policy: fc.constantFrom('Cluster' as const, 'Local' as const),
  affinity: fc.boolean(),
  whenEmpty: fc.constantFrom('reject' as const, 'drop' as const),
  ranges: fc.constantFrom(...RANGES),
});

/** A whole desired state: every frontend belongs to at most one service. */
const worldArbitrary = fc
  .record({
    specs: fc.array(serviceSpec, { minLength: NAMES.length, maxLength: NAMES.length }),
    owners: fc.array(fc.integer({ min: 0, max: NAMES.length }), {
      minLength: FRONTENDS.length,
      maxLength: FRONTENDS.length,
    }),
  })
  .map(({ specs, owners }) =>
    specs.flatMap((spec, i): DesiredService[] => {
      const frontends = FRONTENDS.filter((_, f) => owners[f] === i).map((f) =>
        f.type === 'LoadBalancer' && spec.ranges ? { ...f, sourceRanges: spec.ranges } : f,
      );
      if (!spec.isThere || frontends.length === 0) return [];
      const backends = [...spec.backends].sort((a, b) => a.host - b.host || a.port - b.port);
      return [
        desiredService({
          name: NAMES[i] as string,
          frontends,
          algorithm: spec.algorithm,
          externalTrafficPolicy: spec.policy,
          affinity: spec.affinity ? { mode: 'ClientIP', timeoutSeconds: 60 } : { mode: 'None' },
          whenEmpty: spec.whenEmpty,
          backends: backends.map(({ host, port, ...rest }) => ({ at: `10.1.0.${host}:${port}`, ...rest })),
        }),
      ];
    }),
  );

const historyArbitrary = fc.array(worldArbitrary, { minLength: 1, maxLength: 5 });

function deltaBetween(before: readonly DesiredService[], after: readonly DesiredService[]) {
  const ids = new Set(after.map((s) => s.id));
  const old = new Map(before.map((s) => [s.id, JSON.stringify(s)]));
  return {
    upserts: after.filter((s) => old.get(s.id) !== JSON.stringify(s)),
    removals: before.filter((s) => !ids.has(s.id)).map((s) => s.id),
  };
}

/** Applies op by op; after each the reader must see, per frontend, what was or what will be. */
function applyObserved(store: FakeMapStore, plan: Plan, wanted: Map<string, string>): void {
  const before = readAsDataPath(store, true);
  const refusing = refusingAddresses(store);
  for (const op of plan.ops) {
    applyOps(store, [op]);
    expectNothingRefusedThatIsAnothers(store, refusing, before, wanted);
    for (const [key, text] of readAsDataPath(store, true)) {
      const isOld = before.get(key) === text;
      const isNew = wanted.get(key) === text;
      if (!isOld && !isNew) {
        throw new Error(`${key} shows '${text}', neither '${before.get(key)}' nor '${wanted.get(key)}'`);
      }
    }
    for (const key of before.keys()) {
      if (wanted.has(key) && !readAsDataPath(store, true).has(key))
        throw new Error(`${key} was gone for a moment`);
    }
  }
}

/** Addresses whose unknown ports are refused. */
function refusingAddresses(store: FakeMapStore): Set<string> {
  const all = [...store.maps.lb_addresses.values()];
  return new Set(all.filter(({ value }) => value.flags & ADDRESS_F_CLUSTER_IP).map(({ key }) => key));
}

/**
 * A port that is not there yet, or not any more, may be another proxy's: an address that was nobody's, or will be,
 * refuses none while some of its frontends are missing.
 */
function expectNothingRefusedThatIsAnothers(
  store: FakeMapStore,
  refusedBefore: ReadonlySet<string>,
  before: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): void {
  const seen = readAsDataPath(store, true);
  const addressOf = (key: string) => key.split('|')[1] as string;
  const willRefuse = new Set(
    [...wanted]
      .filter(([, text]) => text.includes(`type ${FRONTEND_CLUSTER_IP} `))
      .map(([key]) => addressOf(key)),
  );
  for (const ip of refusingAddresses(store)) {
    if (refusedBefore.has(ip) && willRefuse.has(ip)) continue;
    for (const key of [...(willRefuse.has(ip) ? wanted : before).keys()])
      if (addressOf(key) === ip && !seen.has(key)) throw new Error(`${key} would be refused for a moment`);
  }
}

/** Ids and slots that an op begins to use. */
function begins(op: Op): string[] {
  if (op.kind === 'backend') return [`backend ${op.id}`];
  if (op.kind === 'slots') return Array.from({ length: op.ids.length }, (_, i) => `slot ${op.base + i}`);
  if (op.kind === 'put' && op.map === 'meta_services' && !op.replaces) return [`service ${op.key}`];
  return [];
}

function waits(plan: Plan): string[] {
  return [
    ...plan.frees.backends.map((id) => `backend ${id}`),
    ...plan.frees.services.map((id) => `service ${id}`),
    ...plan.frees.runs.flatMap((r) => Array.from({ length: r.count }, (_, i) => `slot ${r.base + i}`)),
  ];
}

describe('plans over random histories', { timeout: 60_000 }, () => {
  it('show every reader the old or the new list at every step, and end at the desired state', () => {
    fc.assert(
      fc.property(historyArbitrary, (history) => {
        const store = new FakeMapStore(SIZES);
        const planner = new Planner({ sizes: SIZES });
        let current: DesiredService[] = [];
        for (const world of history) {
          const plan = planner.apply(deltaBetween(current, world));
          expect(plan.problems).toEqual([]);
          const wanted = expectedOf(world);
          applyObserved(store, plan, wanted);
          expect(readAsDataPath(store)).toEqual(wanted);
          applyOps(store, plan.after);
          planner.settle(plan);
          expect(planner.reconcile(world).toText()).toBe('');
          current = world;
        }
      }),
      { numRuns: 120 },
    );
  });

  it('never use an id or a slot again before its grace period is over', () => {
    fc.assert(
      fc.property(historyArbitrary, fc.integer({ min: 1, max: 4 }), (history, delay) => {
        const store = new FakeMapStore(SIZES);
        const planner = new Planner({ sizes: SIZES });
        const graces: Plan[] = [];
        let current: DesiredService[] = [];
        for (const world of history) {
          const plan = planner.apply(deltaBetween(current, world));
          const waiting = new Set(graces.flatMap(waits));
          for (const used of plan.ops.flatMap(begins)) expect(waiting.has(used), used).toBe(false);
          applyOps(store, plan.ops);
          graces.push(plan);
          while (graces.length > delay) {
            const settled = graces.shift() as Plan;
            applyOps(store, settled.after);
            planner.settle(settled);
          }
          expect(readAsDataPath(store)).toEqual(expectedOf(world));
          current = world;
        }
      }),
      { numRuns: 100 },
    );
  });

  it('heal after a crash at any step: restore, reconcile, nothing left over', () => {
    fc.assert(
      fc.property(
        historyArbitrary,
        worldArbitrary,
        fc.nat(),
        fc.boolean(),
        (history, last, cut, sameWorld) => {
          const store = new FakeMapStore(SIZES);
          const planner = new Planner({ sizes: SIZES });
          let current: DesiredService[] = [];
          for (const world of history) {
            const plan = planner.apply(deltaBetween(current, world));
            applyOps(store, [...plan.ops, ...plan.after]);
            planner.settle(plan);
            current = world;
          }
          const interrupted = planner.apply(deltaBetween(current, last));
          const steps = [...interrupted.ops, ...interrupted.after];
          applyOps(store, steps.slice(0, cut % (steps.length + 1)));

          const world = sameWorld ? last : current;
          const restored = new Planner({ sizes: SIZES });
          restored.restore(store.dump());
          const plan = restored.reconcile(world);
          expect(plan.problems).toEqual([]);
          applyObserved(store, plan, expectedOf(world));
          applyOps(store, plan.after);
          restored.settle(plan);
          expect(readAsDataPath(store)).toEqual(expectedOf(world));
          expect(restored.reconcile(world).toText()).toBe('');

          const fresh = new Planner({ sizes: SIZES });
          const clean = new FakeMapStore(SIZES);
          applyOps(clean, fresh.apply({ upserts: world, removals: [] }).ops);
          expect(restored.usage).toEqual(fresh.usage);
          for (const map of [
            'lb_frontends',
            'lb_addresses',
            'lb_src_ranges',
            'meta_services',
            'meta_localities',
          ] as const) {
            expect(store.maps[map].size, map).toBe(clean.maps[map].size);
          }
          const alive = (s: FakeMapStore) => [...s.backends.values()].filter((b) => b.state !== 0).length;
          expect(alive(store)).toBe(alive(clean));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('change nothing when the maps already hold the desired state (a restart)', () => {
    fc.assert(
      fc.property(historyArbitrary, (history) => {
        const store = new FakeMapStore(SIZES);
        const planner = new Planner({ sizes: SIZES });
        let current: DesiredService[] = [];
        for (const world of history) {
          const plan = planner.apply(deltaBetween(current, world));
          applyOps(store, [...plan.ops, ...plan.after]);
          planner.settle(plan);
          current = world;
        }
        const restored = new Planner({ sizes: SIZES });
        restored.restore(store.dump());
        expect(restored.reconcile(current).toText()).toBe('');
        expect(restored.usage).toEqual(planner.usage);
      }),
      { numRuns: 100 },
    );
  });
});
