import { describe, expect, it } from 'vitest';
import * as abi from '../../../src/abi/generated.js';
import { applyOps } from '../../../src/datapath/apply.js';
import type { DesiredService } from '../../../src/model/desired.js';
import { type Plan, Planner, type PlanSizes } from '../../../src/plan/index.js';
import {
  clusterIP,
  desiredService,
  expectedOf,
  loadBalancer,
  nodePort,
  readAsDataPath,
} from '../../support/desired.js';
import { FakeMapStore, SMALL_SIZES } from '../../support/mapStore.js';

function setUp(sizes: Partial<PlanSizes> = {}) {
  const all = { ...SMALL_SIZES, ...sizes };
  const store = new FakeMapStore(all);
  const planner = new Planner({ sizes: all });
  const run = (plan: Plan) => {
    applyOps(store, [...plan.ops, ...plan.after]);
    planner.settle(plan);
    return plan;
  };
  return { store, planner, run };
}

const upsert = (...upserts: DesiredService[]) => ({ upserts, removals: [] });

const web = (backends: string[]) =>
  desiredService({ name: 'web', frontends: [clusterIP('10.96.0.1'), nodePort(30080)], backends });

describe('a plan', () => {
  it('for a new service writes names, backends, slots and addresses before the frontends, and refuses other ports after', () => {
    const { planner } = setUp();
    const plan = planner.apply(upsert(web(['10.1.0.2:80', '10.1.0.3:80'])));
    expect(plan.toText().split('\n')).toEqual([
      '+ lb_addresses 10.96.0.1 echo frontends 1',
      '+ lb_backends 1 10.1.0.2:80/TCP service 1 ready serving in_internal in_cluster',
      '+ lb_backends 2 10.1.0.3:80/TCP service 1 ready serving in_internal in_cluster',
      '+ lb_frontends *4:30080/TCP service 1 node_port internal 1+2 external 1+2 flags none',
      '+ lb_frontends 10.96.0.1:80/TCP service 1 cluster_ip internal 1+2 external 1+2 flags none',
      '+ lb_slots 1+2 1 2',
      '+ meta_services 1 default/web:/TCP/IPv4',
      '~ lb_addresses 10.96.0.1 cluster_ip,echo frontends 1',
      '~ stats_backends 1 zero',
      '~ stats_backends 2 zero',
      '~ stats_services 1 zero',
    ]);
    expect(plan.ops.map((op) => op.kind)).toEqual([
      'zero',
      'zero',
      'zero',
      'put',
      'backend',
      'backend',
      'slots',
      'put',
      'put',
      'put',
      'put',
    ]);
    expect(plan.needsGrace).toBe(false);
  });

  it('for one endpoint more writes one backend and a fresh run, and frees the old run after the grace period', () => {
    const { planner, run } = setUp();
    run(planner.apply(upsert(web(['10.1.0.2:80', '10.1.0.3:80']))));
    const plan = run(planner.apply(upsert(web(['10.1.0.2:80', '10.1.0.3:80', '10.1.0.4:80']))));
    expect(plan.toText().split('\n')).toEqual([
      '+ lb_backends 3 10.1.0.4:80/TCP service 1 ready serving in_internal in_cluster',
      '+ lb_slots 3+3 1 2 3',
      '~ lb_frontends *4:30080/TCP service 1 node_port internal 3+3 external 3+3 flags none',
      '~ lb_frontends 10.96.0.1:80/TCP service 1 cluster_ip internal 3+3 external 3+3 flags none',
      '~ stats_backends 3 zero',
    ]);
    expect(plan.frees.runs).toEqual([{ base: 1, count: 2 }]);
  });

  it('keeps an id while the endpoint stays and changes only its state word, usable bits last', () => {
    const { planner, run, store } = setUp();
    const draining = {
      at: '10.1.0.3:80',
      inInternal: false,
      inCluster: false,
      ready: false,
      terminating: true,
    };
    const service = (second: string | typeof draining) =>
      desiredService({ name: 'web', frontends: [clusterIP('10.96.0.1')], backends: ['10.1.0.2:80', second] });
    run(planner.apply(upsert(service('10.1.0.3:80'))));
    const plan = run(planner.apply(upsert(service(draining))));
    const steps = plan.ops.filter(
      (op) => op.kind === 'backend-state' || (op.kind === 'put' && op.map === 'lb_frontends'),
    );
    const before = abi.BACKEND_F_ALIVE | abi.BACKEND_F_SERVING | abi.BACKEND_F_TERMINATING;
    expect(steps).toMatchObject([
      { kind: 'backend-state', id: 2, state: before | abi.BACKEND_F_IN_INTERNAL | abi.BACKEND_F_IN_CLUSTER },
      { kind: 'put' },
      { kind: 'backend-state', id: 2, state: before },
    ]);
    expect(store.backends.get(2)?.generation).toBe(2);
  });

  it('gives a returning endpoint another id and generation', () => {
    const { planner, run, store } = setUp();
    run(planner.apply(upsert(web(['10.1.0.2:80']))));
    run(planner.apply(upsert(web([]))));
    expect(store.backends.get(1)?.state).toBe(0);
    run(planner.apply(upsert(web(['10.1.0.2:80']))));
    expect(store.backends.get(2)).toMatchObject({ addr: '10.1.0.2', generation: 2 });
  });

  it('shares one run between equal scopes and gives Local policy a run of its own', () => {
    const { planner, run, store } = setUp();
    const service = desiredService({
      name: 'web',
      externalTrafficPolicy: 'Local',
      whenEmpty: 'drop',
      frontends: [clusterIP('10.96.0.1'), nodePort(30080)],
      backends: ['10.1.0.2:80', { at: '10.1.0.3:80', inLocal: true, onNode: true }],
    });
    run(planner.apply(upsert(service)));
    expect(store.get('lb_frontends', { addr: '::', port: 30080, proto: 6, kind: 4 })).toMatchObject({
      internal: (2n << 32n) | 1n,
      external: (1n << 32n) | 3n,
      internal_mask: abi.BACKEND_F_IN_CLUSTER,
      external_mask: abi.BACKEND_F_IN_LOCAL,
      flags: abi.FRONTEND_F_EXTERNAL_LOCAL,
    });
    expect(store.get('lb_frontends', { addr: '10.96.0.1', port: 80, proto: 6, kind: 1 })).toMatchObject({
      internal: (2n << 32n) | 1n,
      external: (2n << 32n) | 1n,
      flags: 0,
    });
  });

  it('marks an empty scope to be dropped or refused', () => {
    const { planner, run, store } = setUp();
    const empty = (whenEmpty: 'drop' | 'reject') =>
      desiredService({ name: 'web', frontends: [nodePort(30080)], backends: [], whenEmpty });
    const flags = () => store.get('lb_frontends', { addr: '::', port: 30080, proto: 6, kind: 4 })?.flags;
    run(planner.apply(upsert(empty('drop'))));
    expect(flags()).toBe(abi.FRONTEND_F_INTERNAL_DROP | abi.FRONTEND_F_EXTERNAL_DROP);
    run(planner.apply(upsert(empty('reject'))));
    expect(flags()).toBe(0);
  });

  it('writes changed source ranges as a fresh set, then flips, then removes the old one', () => {
    const { planner, run, store } = setUp();
    const service = (ranges: string[] | undefined) =>
      desiredService({
        name: 'web',
        frontends: [loadBalancer('192.0.2.1', 80, ranges)],
        backends: ['10.1.0.2:80'],
      });
    run(planner.apply(upsert(service(['10.0.0.0/8', '192.168.0.0/16']))));
    const plan = planner.apply(upsert(service(['10.0.0.0/8'])));
    expect(plan.ops.map((op) => ('map' in op ? `${op.kind} ${op.map}` : op.kind))).toEqual([
      'put lb_src_ranges',
      'put lb_frontends',
    ]);
    expect(plan.after.map((op) => op.kind)).toEqual(['delete', 'delete']);
    run(plan);
    run(planner.apply(upsert(service([]))));
    expect(store.maps.lb_src_ranges.size).toBe(0);
    const key = { addr: '192.0.2.1', port: 80, proto: 6, kind: 1 };
    expect(store.get('lb_frontends', key)?.flags).toBe(abi.FRONTEND_F_SOURCE_RANGES);
    run(planner.apply(upsert(service(undefined))));
    expect(store.get('lb_frontends', key)).toMatchObject({ flags: 0, range_set_id: 0 });
  });

  it('keys IPv6 ranges and addresses as they are', () => {
    const { planner, run, store } = setUp();
    const service = desiredService({
      name: 'web',
      family: 6,
      frontends: [loadBalancer('2001:db8::1', 80, ['2001:db8:1::/48']), nodePort(30080)],
      backends: ['fd00::2:80'],
    });
    run(planner.apply(upsert(service)));
    expect([...store.maps.lb_src_ranges.values()][0]?.key).toEqual({
      prefixlen: 32 + 48,
      range_set_id: 1,
      addr: '2001:db8:1::',
    });
    expect(store.get('lb_frontends', { addr: '::', port: 30080, proto: 6, kind: 6 })).toBeDefined();
  });

  it("merges frontends' addresses with the node's and counts their users", () => {
    const { planner, run, store } = setUp();
    const address = (ip: string) => store.get('lb_addresses', ip);
    run(planner.setNodeAddresses([{ ip: '172.16.0.1', nodePorts: true, loopback: false, primary: true }]));
    const node = abi.ADDRESS_F_NODE | abi.ADDRESS_F_NODE_PORTS | abi.ADDRESS_F_PRIMARY;
    expect(address('172.16.0.1')).toEqual({ flags: node, frontends: 0 });
    const service = (ports: number[]) =>
      desiredService({
        name: 'web',
        frontends: ports.map((p) => loadBalancer('172.16.0.1', p)),
        backends: ['10.1.0.2:80'],
      });
    run(planner.apply(upsert(service([80, 443]))));
    // No echo: an interface of the node owns the address and answers by itself.
    expect(address('172.16.0.1')).toEqual({ flags: node | abi.ADDRESS_F_EXTERNAL, frontends: 2 });
    run(planner.setNodeAddresses([]));
    expect(address('172.16.0.1')).toEqual({
      flags: abi.ADDRESS_F_EXTERNAL | abi.ADDRESS_F_ECHO,
      frontends: 2,
    });
    run(planner.apply({ upserts: [], removals: [service([]).id] }));
    expect(address('172.16.0.1')).toBeUndefined();
  });

  it("keeps the node's own range sets apart from those of services", () => {
    const { planner, run, store } = setUp();
    run(planner.setNodeRanges({ cluster: ['10.244.0.0/16'], service: ['10.96.0.0/12', 'fd00:96::/108'] }));
    run(planner.setNodeRanges({ cluster: ['10.244.0.0/16'], service: ['10.96.0.0/12'] }));
    const sets = [...store.maps.lb_src_ranges.values()].map((e) => e.key);
    expect(sets).toEqual([
      { prefixlen: 144, range_set_id: 0xffffffff, addr: '10.244.0.0' },
      { prefixlen: 140, range_set_id: 0xfffffffe, addr: '10.96.0.0' },
    ]);
    const restored = new Planner({ sizes: SMALL_SIZES });
    restored.restore(store.dump());
    expect(restored.setNodeRanges({ cluster: ['10.244.0.0/16'], service: ['10.96.0.0/12'] }).isEmpty).toBe(
      true,
    );
    expect(restored.reconcile([]).isEmpty).toBe(true);
  });

  it('an address of another proxy is known without being anything here, also while it changes hands', () => {
    const { planner, run, store } = setUp();
    const ranges = (...foreign: string[]) => ({ cluster: [], service: ['10.96.0.0/12'], foreign });
    const ours = desiredService({
      frontends: [{ type: 'ClusterIP', ip: '10.96.0.7', port: 80 }],
      backends: ['10.1.0.2:80'],
    });
    const address = () => [...store.maps.lb_addresses.values()].find((e) => e.key === '10.96.0.7')?.value;
    run(planner.apply(upsert(), ranges('10.96.0.7')));
    expect(address()).toEqual({ flags: 0, frontends: 0 });
    const restored = new Planner({ sizes: SMALL_SIZES });
    restored.restore(store.dump());
    expect(restored.reconcile([], ranges('10.96.0.7')).isEmpty).toBe(true);
    // Never out of the map in between: an unknown address of the range is dropped.
    const taken = run(planner.apply(upsert(ours), ranges()));
    expect(address()?.flags).toBe(abi.ADDRESS_F_CLUSTER_IP | abi.ADDRESS_F_ECHO);
    const given = run(planner.apply({ upserts: [], removals: [ours.id] }, ranges('10.96.0.7')));
    expect(address()).toEqual({ flags: 0, frontends: 0 });
    const deletes = [taken, given].flatMap(({ ops }) =>
      ops.filter((op) => op.kind === 'delete' && op.map === 'lb_addresses'),
    );
    expect(deletes).toEqual([]);
    run(planner.apply(upsert(), ranges()));
    expect(address()).toBeUndefined();
  });

  it('says when there is no room for such an address', () => {
    const { planner, run } = setUp();
    const foreign = Array.from(
      { length: SMALL_SIZES.lb_addresses + 1 },
      (_, i) => `10.96.${i >> 8}.${i & 255}`,
    );
    const plan = run(planner.apply(upsert(), { cluster: [], service: ['10.96.0.0/12'], foreign }));
    expect(plan.problems).toMatchObject([{ code: 'E2BIG', map: 'lb_addresses' }]);
  });
});

describe('what does not fit or is not allowed', () => {
  it('leaves out the service for which a table is full, says which flag to raise, and loses nothing else', () => {
    const { planner, run, store } = setUp({ lb_backends: 4 });
    const small = desiredService({
      name: 'small',
      frontends: [clusterIP('10.96.0.1')],
      backends: ['10.1.0.1:80'],
    });
    const large = desiredService({
      name: 'large',
      frontends: [clusterIP('10.96.0.2')],
      backends: ['10.1.1.1:80', '10.1.1.2:80', '10.1.1.3:80'],
    });
    const last = desiredService({
      name: 'z',
      frontends: [clusterIP('10.96.0.3')],
      backends: ['10.1.2.1:80'],
    });
    const plan = run(planner.apply(upsert(small, large, last)));
    expect(plan.problems).toHaveLength(1);
    expect(plan.problems[0]).toMatchObject({ service: large.id, code: 'E2BIG', map: 'lb_backends' });
    expect(plan.problems[0]?.message).toMatch(
      /^update service default\/large.*table lb_backends is full.*it is not served \(E2BIG\)\. Raise --max-backends/,
    );
    expect(readAsDataPath(store)).toEqual(expectedOf([small, last]));
    expect(planner.leftOut).toHaveLength(1);
    // Room appears: it is served without being told again.
    run(planner.apply({ upserts: [], removals: [small.id, last.id] }));
    run(planner.apply(upsert()));
    expect(readAsDataPath(store)).toEqual(expectedOf([large]));
    expect(planner.leftOut).toEqual([]);
  });

  it.each([
    ['services', { services: 2 }, 'meta_services', '--max-services'],
    ['slots', { lb_slots: 3 }, 'lb_slots', '--max-slots'],
    ['frontends', { lb_frontends: 3 }, 'lb_frontends', '--max-frontends'],
    ['addresses', { lb_addresses: 1 }, 'lb_addresses', '--max-addresses'],
    ['source ranges', { lb_src_ranges: 1 }, 'lb_src_ranges', '--max-source-ranges'],
  ])('names the table and the flag when %s run out', (_, sizes, map, flag) => {
    const { planner, run, store } = setUp(sizes);
    const service = (name: string, n: number) =>
      desiredService({
        name,
        frontends: [loadBalancer(`10.96.0.${n}`, 80, ['10.0.0.0/8']), nodePort(30000 + n)],
        backends: ['10.1.0.1:80', '10.1.0.2:80'],
      });
    const first = service('a', 1);
    run(planner.apply(upsert(first)));
    const plan = run(planner.apply(upsert(service('b', 2))));
    expect(plan.problems).toMatchObject([{ code: 'E2BIG', map }]);
    expect(plan.problems[0]?.message).toContain(flag);
    expect(readAsDataPath(store)).toEqual(expectedOf([first]));
  });

  it('keeps a key with its owner while both want it, and hands it over when it is given up', () => {
    const { planner, run, store } = setUp();
    const first = desiredService({ name: 'a', frontends: [nodePort(30080)], backends: ['10.1.0.1:80'] });
    const second = desiredService({
      name: 'b',
      frontends: [nodePort(30080), clusterIP('10.96.0.2')],
      backends: ['10.1.0.2:80'],
    });
    run(planner.apply(upsert(first)));
    const plan = run(planner.apply(upsert(second)));
    expect(plan.problems).toMatchObject([{ service: second.id, code: 'EEXIST' }]);
    expect(readAsDataPath(store).size).toBe(2);
    const handover = run(planner.apply({ upserts: [], removals: [first.id] }));
    expect(handover.ops.filter((op) => op.kind === 'delete' && op.map === 'lb_frontends')).toEqual([]);
    expect(readAsDataPath(store)).toEqual(expectedOf([second]));
  });

  it('refuses addresses that must never be written, backend by backend and frontend by frontend', () => {
    const { planner, run, store } = setUp();
    const service = desiredService({
      name: 'web',
      frontends: [clusterIP('10.96.0.1'), clusterIP('0.0.0.0'), clusterIP('10.96.0.9', 0)],
      backends: ['10.1.0.2:80', '127.0.0.1:80', '169.254.1.1:80', '0.0.0.0:80', 'fd00::1:80', ':80'],
    });
    const plan = run(planner.apply(upsert(service)));
    expect(plan.problems.map((p) => p.code)).toEqual(new Array(7).fill('EINVAL'));
    expect([...readAsDataPath(store).values()]).toEqual([
      'default/web: | type 1 flags 0 affinity 0 | internal 10.1.0.2:80 | external 10.1.0.2:80 | ranges open',
    ]);
  });

  it('leaves out a service whose name does not fit, and cuts names that are only shown', () => {
    const { planner, run, store } = setUp();
    const long = desiredService({ name: 'x'.repeat(65), frontends: [clusterIP('10.96.0.1')], backends: [] });
    expect(run(planner.apply(upsert(long))).problems).toMatchObject([{ code: 'EINVAL' }]);
    const zone = desiredService({
      name: 'web',
      frontends: [clusterIP('10.96.0.1')],
      backends: [{ at: '10.1.0.2:80', nodeName: 'n', zone: 'ä'.repeat(40) }],
    });
    run(planner.apply(upsert(zone)));
    expect([...store.maps.meta_localities.values()][0]?.value.zone).toBe('ä'.repeat(32));
    expect(planner.apply(upsert(zone)).isEmpty).toBe(true);
  });
});

describe('after a restart', () => {
  it('nothing is removed before everything has been heard', () => {
    const { planner, run, store } = setUp();
    const a = desiredService({ name: 'a', frontends: [clusterIP('10.96.0.1')], backends: ['10.1.0.1:80'] });
    const b = desiredService({ name: 'b', frontends: [clusterIP('10.96.0.2')], backends: ['10.1.0.2:80'] });
    run(planner.apply(upsert(a, b)));
    const restored = new Planner({ sizes: SMALL_SIZES });
    restored.restore(store.dump());
    const more = desiredService({ ...a, backends: ['10.1.0.1:80', '10.1.0.3:80'] });
    const plan = restored.apply(upsert(more));
    applyOps(store, [...plan.ops, ...plan.after]);
    restored.settle(plan);
    expect(readAsDataPath(store)).toEqual(expectedOf([more, b]));
    const last = restored.reconcile([more]);
    applyOps(store, [...last.ops, ...last.after]);
    restored.settle(last);
    expect(readAsDataPath(store)).toEqual(expectedOf([more]));
    expect(restored.usage).toMatchObject({ services: 1, lb_backends: 2, lb_slots: 2, lb_frontends: 1 });
  });

  it('entries that lead nowhere are removed, and one that is damaged is written anew', () => {
    const { planner, run, store } = setUp();
    const a = desiredService({ name: 'a', frontends: [clusterIP('10.96.0.1')], backends: ['10.1.0.1:80'] });
    run(planner.apply(upsert(a)));
    // A frontend of no service, a backend of no service, a name twice, an unused set and locality, a wrong run.
    const value = store.get('lb_frontends', {
      addr: '10.96.0.1',
      port: 80,
      proto: 6,
      kind: 1,
    }) as abi.LbFrontend;
    store.put('lb_frontends', [
      { key: { addr: '10.96.9.9', port: 80, proto: 6, kind: 1 }, value: { ...value, service_id: 50 } },
      {
        key: { addr: '10.96.0.1', port: 80, proto: 6, kind: 1 },
        value: { ...value, internal: (9n << 32n) | 4090n },
      },
    ]);
    store.writeBackend(40, {
      addr: '10.9.9.9',
      port: 1,
      proto: 6,
      service_id: 50,
      generation: 77,
      state: 1,
      locality_id: 0,
    });
    const meta = store.get('meta_services', 1) as abi.MetaService;
    store.put('meta_services', [{ key: 9, value: meta }]);
    store.put('lb_src_ranges', [{ key: { prefixlen: 160, range_set_id: 5, addr: '10.0.0.1' }, value: 1 }]);
    store.put('meta_localities', [{ key: 3, value: { node_name: 'n', zone: 'z' } }]);

    const restored = new Planner({ sizes: SMALL_SIZES });
    restored.restore(store.dump());
    const plan = restored.reconcile([a]);
    applyOps(store, [...plan.ops, ...plan.after]);
    restored.settle(plan);
    expect(readAsDataPath(store)).toEqual(expectedOf([a]));
    expect(store.backends.get(40)?.state).toBe(0);
    expect(store.maps.meta_services.size).toBe(1);
    expect(store.maps.lb_src_ranges.size).toBe(0);
    expect(store.maps.meta_localities.size).toBe(0);
    expect(restored.usage).toMatchObject({
      services: 1,
      lb_backends: 1,
      lb_slots: 1,
      lb_frontends: 1,
      lb_addresses: 1,
    });
    // Generations go on behind the highest that was ever given out.
    const next = restored.apply(upsert(desiredService({ ...a, backends: ['10.1.0.7:80'] })));
    const added = next.ops.find((op) => op.kind === 'backend');
    expect(added).toMatchObject({ id: 41, value: { generation: 78 } });
  });
});
