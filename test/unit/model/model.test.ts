import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/model/model.js';
import type { Change } from '../../../src/model/objects.js';
import { endpoint, model, node, put, remove, service, slice } from './builders.js';

const ZONE = 'topology.kubernetes.io/zone';

/** `count` Services, each with one slice of two endpoints on n1 and n2. */
function cluster(count: number): Change[] {
  const changes: Change[] = [];
  for (let i = 0; i < count; i += 1) {
    const suffix = `${i >> 8}.${i & 255}`;
    changes.push(put(service({ name: `s${i}`, clusterIPs: [`10.96.${suffix}`] })));
    const endpoints = [
      endpoint(`10.1.${suffix}`, { nodeName: 'n1' }),
      endpoint(`10.2.${suffix}`, { nodeName: 'n2' }),
    ];
    changes.push(put(slice({ serviceName: `s${i}`, endpoints })));
  }
  return changes;
}

function recomputedBy(made: Model, ...changes: Change[]): number {
  const before = made.stats.servicesRecomputed;
  made.apply(changes);
  return made.stats.servicesRecomputed - before;
}

describe('ARCHITECTURE 3: an event recomputes what it touches', () => {
  const count = 500;
  const big = (): Model => model({}, cluster(count));

  it('works a first batch out once per Service', () => {
    const made = big();
    expect(made.stats).toEqual({
      events: 2 * count,
      servicesRecomputed: count,
      fullRecomputes: 0,
      upserts: count,
      removals: 0,
    });
  });

  it.each<[string, Change[], number]>([
    ['a slice of a Service', [put(slice({ serviceName: 's7' }))], 1],
    ['a second slice of a Service', [put(slice({ serviceName: 's7', name: 'more' }))], 1],
    ['a slice of no Service', [put(slice({ serviceName: 'nobody' }))], 0],
    ['a slice that goes', [remove('EndpointSlice', 'default/s7-1')], 1],
    ['a slice that was never there', [remove('EndpointSlice', 'default/unknown')], 0],
    ['a slice that moves to another Service', [put({ ...slice({ serviceName: 's8' }), name: 's7-1' })], 2],
    ['a new Service', [put(service({ name: 'new', clusterIPs: ['10.97.0.1'] }))], 1],
    ['a Service that goes', [remove('Service', 'default/s7')], 0],
    ['a Service that becomes headless', [put(service({ name: 's7', headless: true, clusterIPs: [] }))], 0],
    [
      'several events of one Service together',
      [
        put(slice({ serviceName: 's7' })),
        put(slice({ serviceName: 's7', name: 'more' })),
        remove('EndpointSlice', 'default/more'),
      ],
      1,
    ],
    [
      'a Service whose cluster IP is an endpoint of one other',
      [put(service({ name: 'new', clusterIPs: ['10.1.0.7'] }))],
      2,
    ],
    ['another node', [put(node('n2', { labels: { [ZONE]: 'z1', a: 'b' }, podCIDRs: ['10.2.0.0/16'] }))], 0],
    ['this node without a zone', [put(node('n1', { labels: { a: 'b' } }))], 0],
    ['the zone of this node: all', [put(node('n1', { labels: { [ZONE]: 'z1' } }))], count],
  ])('%s', (_, changes, expected) => expect(recomputedBy(big(), ...changes)).toBe(expected));

  it('looks at the labels of nodes only for Services that ask for them', () => {
    const keys = (list: string) => ({ annotations: { 'shunt.dev/topology-keys': list } });
    const made = model({}, [
      ...cluster(10),
      put(service({ name: 's1', clusterIPs: ['10.96.0.1'], ...keys('rack') })),
      put(service({ name: 's2', clusterIPs: ['10.96.0.2'], ...keys('row,rack') })),
      put(service({ name: 's3', clusterIPs: ['10.96.0.3'], ...keys('row') })),
      put(slice({ serviceName: 's2', endpoints: [endpoint('10.3.0.1', { nodeName: 'n3' })] })),
      put(node('n1', { labels: { rack: '1', row: '1' } })),
      put(node('n2', { labels: { rack: '1', row: '1' } })),
    ]);
    expect(recomputedBy(made, put(node('n1', { labels: { rack: '2', row: '1' } })))).toBe(2);
    expect(recomputedBy(made, put(node('n1', { labels: { rack: '2', row: '1', other: 'x' } })))).toBe(0);
    // s2 has no endpoint on n2 any more.
    expect(recomputedBy(made, put(node('n2', { labels: { rack: '2', row: '2' } })))).toBe(2);
    expect(recomputedBy(made, put(node('n2', { labels: { rack: '3', row: '2' } })))).toBe(1);
    expect(recomputedBy(made, remove('Node', 'n2'))).toBe(2);
    expect(recomputedBy(made, put(node('n3', { labels: { rack: '2' } })))).toBe(1);
  });

  it('costs a slice event the same with 100 Services and with 5,000', () => {
    const costOf = (made: Model): number => {
      const changes = [1, 2].map((n) => [
        put(slice({ serviceName: 's7', endpoints: [endpoint(`10.5.0.${n}`)] })),
      ]);
      const rounds = 200;
      let best = Number.POSITIVE_INFINITY;
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const start = performance.now();
        for (let i = 0; i < rounds; i += 1) made.apply(changes[i % 2] ?? []);
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    const small = model({}, cluster(100));
    const large = model({}, cluster(5000));
    costOf(small);
    // A walk over all Services would cost fifty times as much; five leaves room for a busy machine.
    expect(costOf(large)).toBeLessThan(5 * costOf(small) + 5);
  });
});

describe('ARCHITECTURE 3: deltas', () => {
  const base = [put(service()), put(slice({ endpoints: [endpoint('10.1.0.1', { nodeName: 'n1' })] }))];
  const NOTHING = { upserts: [], removals: [], warnings: [] };

  it.each<[string, Change[]]>([
    ['the same objects again', base],
    ['a slice without effect', [put(slice({ name: 'empty' }))]],
    [
      'a newer trigger time',
      [
        put({
          ...slice({ endpoints: [endpoint('10.1.0.1', { nodeName: 'n1' })] }),
          lastChangeTriggerTimeMs: 5,
        }),
      ],
    ],
    ['a Service without a data path', [put(service({ name: 'ext', type: 'ExternalName' }))]],
    ['a node', [put(node('n1', { labels: { [ZONE]: 'z1' } }))]],
    [
      'something that comes and goes',
      [put(service({ name: 'x', clusterIPs: ['10.96.9.9'] })), remove('Service', 'default/x')],
    ],
  ])('%s: nothing', (_, changes) => expect(model({}, base).apply(changes)).toEqual(NOTHING));

  it('carry whole services, sorted, and ids that are no more', () => {
    const made = model({}, base);
    const both = made.apply([put(service({ clusterIPs: ['fd00::10', '10.96.0.10'] }))]);
    expect(both.upserts.map(({ id }) => id)).toEqual(['default/web:http/TCP/IPv6']);
    const moved = made.apply([
      put(
        service({
          clusterIPs: ['10.96.0.10'],
          ports: [{ name: 'b', protocol: 'UDP', port: 80, nodePort: 0 }],
        }),
      ),
    ]);
    expect(moved.upserts.map(({ id }) => id)).toEqual(['default/web:b/UDP/IPv4']);
    expect(moved.removals).toEqual(['default/web:http/TCP/IPv4', 'default/web:http/TCP/IPv6']);
    expect(made.apply([remove('Service', 'default/web')]).removals).toEqual(['default/web:b/UDP/IPv4']);
    expect(made.desired()).toEqual([]);
  });

  it('a slice that came before its Service is not lost', () => {
    const made = model({}, base.slice(1));
    expect(made.desired()).toEqual([]);
    expect(made.apply(base.slice(0, 1)).upserts[0]?.backends).toHaveLength(1);
  });

  it('tell a warning once while it stands, and again after it was gone', () => {
    const bad = slice({ endpoints: [endpoint('127.0.0.1')] });
    const made = model({}, [put(service())]);
    const warned = (...changes: Change[]): number => made.apply(changes).warnings.length;
    expect(warned(put(bad))).toBe(1);
    expect(warned(put(bad))).toBe(0);
    expect(warned(put(slice({ name: 'other', endpoints: [endpoint('10.1.0.9')] })))).toBe(0);
    expect(made.warnings()).toHaveLength(1);
    expect(warned(put(slice()))).toBe(0);
    expect(made.warnings()).toEqual([]);
    expect(warned(put(bad))).toBe(1);
  });

  it('show the whole value, as the data path reads it', () => {
    const made = model({}, base);
    expect(made.desired()).toEqual([
      {
        id: 'default/web:http/TCP/IPv4',
        namespace: 'default',
        name: 'web',
        portName: 'http',
        protocol: 'TCP',
        family: 4,
        affinity: { mode: 'None' },
        algorithm: 'random',
        externalTrafficPolicy: 'Cluster',
        internalTrafficPolicy: 'Cluster',
        frontends: [{ type: 'ClusterIP', ip: '10.96.0.10', port: 80 }],
        backends: [
          {
            ip: '10.1.0.1',
            port: 8080,
            nodeName: 'n1',
            ready: true,
            serving: true,
            terminating: false,
            onNode: true,
            inInternal: true,
            inCluster: true,
            inLocal: true,
          },
        ],
        internal: { backends: [0], whenEmpty: 'reject' },
        cluster: { backends: [0], whenEmpty: 'reject' },
        local: { backends: [0], whenEmpty: 'drop' },
      },
    ]);
  });
});
