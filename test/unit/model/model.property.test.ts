// Any history that ends in the same objects ends in the same state; deltas add up to it.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type {
  ClusterRanges,
  DesiredDelta,
  DesiredService,
  HealthCheck,
  Warning,
} from '../../../src/model/desired.js';
import { Model, type ModelOptions } from '../../../src/model/model.js';
import type {
  Change,
  EndpointObject,
  EndpointSliceObject,
  NodeObject,
  ServiceObject,
  ServicePortObject,
} from '../../../src/model/objects.js';
import { node, put, remove, service, serviceCidr, slice } from './builders.js';

const ZONE = 'topology.kubernetes.io/zone';
const HOST = 'kubernetes.io/hostname';

// Few values of everything, so that names, addresses and ports collide.
const NAMES = ['a', 'b', 'c'];
const V4 = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '127.0.0.1', 'x'];
const V6 = ['fd00::1', 'fd00::2', 'FD00:0::3'];
const some = <T>(values: readonly T[], maxLength = 2) => fc.subarray([...values], { maxLength });
const one = <T>(...values: T[]) => fc.constantFrom(...values);
/** The first value in two of three cases. */
const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: one(...others) });
const rarely = fc.integer({ min: 0, max: 9 }).map((n) => n === 0);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });

function compact<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

const P: ServicePortObject = { name: 'p', protocol: 'TCP', port: 80, nodePort: 30080 };
const Q: ServicePortObject = { name: 'q', protocol: 'TCP', port: 81, nodePort: 0 };
const PU: ServicePortObject = { name: 'p', protocol: 'UDP', port: 80, nodePort: 30080 };

const services = fc
  .record({
    name: one(...NAMES),
    creationTimestampMs: fc.nat(2),
    type: often<ServiceObject['type']>('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
    clusterIPs: fc.oneof(
      { weight: 3, arbitrary: one(['10.0.0.1'], ['10.1.0.2'], ['10.0.0.3', 'fd00::1']) },
      { weight: 1, arbitrary: fc.tuple(some(V4, 1), some(V6, 1)).map((pair) => pair.flat()) },
    ),
    headless: rarely,
    ports: often([P], [P, Q], [P, PU], [Q, PU], [P, Q, PU], []).map((ports) =>
      ports.map((entry) => ({ ...entry })),
    ),
    externalTrafficPolicy: one('Cluster' as const, 'Local' as const),
    internalTrafficPolicy: one('Cluster' as const, 'Local' as const),
    externalIPs: some([...V4, ...V6, '10.9.0.1']),
    loadBalancerIngress: some([...V4, ...V6]).map((ips) => ips.map((ip) => ({ ip }))),
    loadBalancerSourceRanges: some(['10.7.0.0/16', 'fd00::/8', '0.0.0.0/0', 'x']),
    healthCheckNodePort: one(0, 32000),
    proxyName: often(undefined, 'shunt', 'other'),
    annotations: one<Record<string, string>>(
      {},
      {},
      { 'shunt.dev/topology-keys': `${HOST},${ZONE}` },
      { 'shunt.dev/topology-keys': 'rack,*' },
      { 'shunt.dev/topology-keys': 'rack' },
      { 'shunt.dev/algorithm': 'maglev' },
      { 'shunt.dev/algorithm': 'x' },
    ),
  })
  .map((fields) => service(compact(fields) as Partial<ServiceObject>));

const endpoints: fc.Arbitrary<EndpointObject> = fc
  .record({
    addresses: fc.oneof(
      { weight: 6, arbitrary: one(['10.1.0.1'], ['10.1.0.2']) },
      { weight: 2, arbitrary: some(V4, 1) },
      { weight: 1, arbitrary: some(V6, 1) },
    ),
    ready: maybe(fc.boolean()),
    serving: maybe(fc.boolean()),
    terminating: maybe(fc.boolean()),
    nodeName: maybe(one('n1', 'n2', 'n3')),
    zone: maybe(one('z1', 'z2')),
    hintZones: maybe(some(['z1', 'z2'])),
    hintNodes: maybe(some(['n1', 'n2'])),
  })
  .map((fields) => compact(fields) as EndpointObject);

const slices = fc
  .record({
    name: one('s1', 's2', 's3'),
    serviceName: one('a', ...NAMES),
    addressType: often<EndpointSliceObject['addressType']>('IPv4', 'IPv6', 'FQDN'),
    headless: rarely,
    ports: often(
      [{ name: 'p', protocol: 'TCP' as const, port: 8080 }],
      [
        { name: 'q', protocol: 'TCP' as const, port: 8081 },
        { name: 'p', protocol: 'UDP' as const, port: 8080 },
      ],
      [{ name: 'p', protocol: 'TCP' as const, port: null }],
    ),
    endpoints: fc.array(endpoints, { minLength: 1, maxLength: 4, size: 'max' }),
  })
  .map((fields) => slice(fields));

const nodes: fc.Arbitrary<NodeObject> = fc
  .record({
    name: one('n1', 'n2', 'n3'),
    labels: fc
      .record({ [ZONE]: often('z1', 'z2', undefined), [HOST]: often('n1', undefined), rack: one('z1', 'z2') })
      .map((labels) => compact(labels) as Record<string, string>),
    internalIPs: some(['10.7.0.1', 'fd00::7']),
    podCIDRs: some(['10.9.0.0/24', '10.0.0.0/30', 'x']),
  })
  .map(({ name, ...fields }) => node(name, fields));

const serviceCidrs = fc
  .record({ name: one('k', 'l'), cidrs: some(['10.0.0.2/31', '10.1.0.0/24', 'x']) })
  .map(({ name, cidrs }) => serviceCidr(name, ...cidrs));

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: services.map(put) },
  { weight: 4, arbitrary: slices.map(put) },
  { weight: 2, arbitrary: nodes.map(put) },
  { weight: 1, arbitrary: serviceCidrs.map(put) },
  { weight: 1, arbitrary: one('k', 'l').map((name) => remove('ServiceCIDR', name)) },
  { weight: 1, arbitrary: one(...NAMES).map((name) => remove('Service', `default/${name}`)) },
  { weight: 1, arbitrary: one('s1', 's2', 's3').map((name) => remove('EndpointSlice', `default/${name}`)) },
  { weight: 1, arbitrary: one('n1', 'n2', 'n3').map((name) => remove('Node', name)) },
);

/** Where every history begins: everything in it works, so that a change is seen. */
const BASE: Change[] = [
  put(
    service({
      name: 'a',
      type: 'LoadBalancer',
      clusterIPs: ['10.0.0.1'],
      ports: [P],
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
      loadBalancerIngress: [{ ip: '10.8.0.1' }],
      loadBalancerSourceRanges: ['10.7.0.0/16'],
      annotations: { 'shunt.dev/topology-keys': `rack,${ZONE}` },
    }),
  ),
  put(service({ name: 'b', clusterIPs: ['10.0.0.2'], ports: [P, Q], externalIPs: ['10.9.0.1'] })),
  ...['n1', 'n2', 'n3'].flatMap((nodeName, index) => [
    put(node(nodeName, { labels: { rack: `z${1 + (index % 2)}`, [ZONE]: 'z1' } })),
    put(
      slice({
        name: `s${index + 1}`,
        serviceName: index < 2 ? 'a' : 'b',
        ports: [{ name: 'p', protocol: 'TCP', port: 8080 }],
        endpoints: ['10.1.0.1', `10.1.0.${index + 2}`].map((ip) => ({
          addresses: [ip],
          nodeName,
          hintZones: [`z${1 + (index % 2)}`],
        })),
      }),
    ),
  ]),
];

const batches = fc
  .array(fc.array(change, { minLength: 1, maxLength: 3, size: 'max' }), { maxLength: 6, size: 'max' })
  .map((history) => [BASE, ...history]);

const options: fc.Arbitrary<ModelOptions> = fc.record({
  nodeName: fc.constant('n1'),
  serveAll: often(true, false),
  sourceRangesOnNodePorts: fc.boolean(),
  externalIpCidrs: maybe(one([], ['10.0.0.0/30'])),
  serviceCidrs: one([], ['10.0.0.0/31']),
});

/** The last word on every object; deletions are left out. */
function finalObjects(history: readonly Change[]): Change[] {
  const last = new Map(history.map((entry) => [`${entry.kind} ${entry.key}`, entry]));
  return [...last.values()].filter(({ object }) => object !== undefined);
}

function stateOf(model: Model): {
  services: DesiredService[];
  health: HealthCheck[];
  warnings: Warning[];
  ranges: ClusterRanges;
} {
  return {
    services: model.desired(),
    health: model.healthChecks(),
    warnings: model.warnings(),
    ranges: model.clusterRanges,
  };
}

/** A consumer that sees nothing but deltas. */
class Mirror {
  readonly services = new Map<string, DesiredService>();
  readonly health = new Map<string, HealthCheck>();
  readonly told = new Set<string>();
  ranges: ClusterRanges = { service: [], foreign: [] };

  take(delta: DesiredDelta): void {
    for (const upsert of delta.upserts) this.services.set(upsert.id, upsert);
    for (const id of delta.removals) expect(this.services.delete(id)).toBe(true);
    for (const check of delta.healthChecks?.upserts ?? []) {
      this.health.set(`${check.namespace}/${check.name}`, check);
    }
    for (const key of delta.healthChecks?.removals ?? []) expect(this.health.delete(key)).toBe(true);
    if (delta.clusterRanges) {
      expect(delta.clusterRanges).not.toEqual(this.ranges);
      this.ranges = delta.clusterRanges;
    }
    for (const warning of delta.warnings) this.told.add(JSON.stringify(warning));
  }
}

describe('ARCHITECTURE 3: the state depends on the objects, not on the way to them', () => {
  it('a history ends where a fresh model begins, in any order and with repeats', () => {
    fc.assert(
      fc.property(options, batches, fc.infiniteStream(fc.nat(0xffff)), (given, history, random) => {
        const lived = new Model(given);
        for (const batch of history) lived.apply(batch);
        const objects = finalObjects(history.flat());
        // Shuffled and with every object twice, one by one.
        const fresh = new Model(given);
        const shuffled = [...objects, ...objects].map((entry) => ({ entry, at: random.next().value }));
        shuffled.sort((a, b) => a.at - b.at);
        for (const { entry } of shuffled) fresh.apply([entry]);
        expect(stateOf(lived)).toEqual(stateOf(fresh));
        const atOnce = new Model(given);
        atOnce.apply(objects);
        expect(stateOf(lived)).toEqual(stateOf(atOnce));
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  it('deltas add up to the state, name real changes only, and tell every warning', () => {
    fc.assert(
      fc.property(options, batches, (given, history) => {
        const model = new Model(given);
        const mirror = new Mirror();
        for (const batch of history) {
          const before = new Map(mirror.services);
          const delta = model.apply(batch);
          mirror.take(delta);
          for (const upsert of delta.upserts) expect(upsert).not.toEqual(before.get(upsert.id));
        }
        const sorted = [...mirror.services.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
        expect(sorted).toEqual(model.desired());
        expect(mirror.ranges).toEqual(model.clusterRanges);
        expect(new Set(mirror.health.values())).toEqual(new Set(model.healthChecks()));
        for (const warning of model.warnings()) expect(mirror.told).toContain(JSON.stringify(warning));
        expect(model.apply(finalObjects(history.flat()))).toEqual({
          upserts: [],
          removals: [],
          warnings: [],
        });
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  it('what it makes keeps its own promises', () => {
    fc.assert(
      fc.property(options, batches, (given, history) => {
        const model = new Model(given);
        for (const batch of history) model.apply(batch);
        const taken = new Set<string>();
        const clusterIps = new Set(finalObjects(history.flat()).flatMap(clusterIpsOf));
        for (const desired of model.desired()) {
          expect(desired.frontends.length).toBeGreaterThan(0);
          for (const { ip, port: number } of desired.frontends) {
            const key = `${ip} ${ip === '*' ? desired.family : ''} ${number}/${desired.protocol}`;
            expect(taken).not.toContain(key);
            taken.add(key);
            if (ip !== '*') expect(ip.includes(':')).toBe(desired.family === 6);
          }
          expect(new Set(desired.backends.map(({ ip, port: number }) => `${ip} ${number}`)).size).toBe(
            desired.backends.length,
          );
          for (const { ip } of desired.backends) {
            expect(clusterIps).not.toContain(ip);
            expect(['127.0.0.1', 'x']).not.toContain(ip);
          }
          for (const index of desired.local.backends) expect(desired.backends[index]?.onNode).toBe(true);
          for (const scope of [desired.internal, desired.cluster, desired.local]) {
            expect([...scope.backends].sort((a, b) => a - b)).toEqual(scope.backends);
          }
        }
      }),
      { numRuns: 500 },
    );
  }, 60_000);
});

function clusterIpsOf(entry: Change): string[] {
  if (entry.kind !== 'Service' || !entry.object || entry.object.headless) return [];
  if (entry.object.type === 'ExternalName') return [];
  return entry.object.clusterIPs.map((ip) => (ip === 'FD00:0::3' ? 'fd00::3' : ip));
}
