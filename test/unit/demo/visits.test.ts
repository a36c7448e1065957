import { describe, expect, it } from 'vitest';
import type { ClientReport } from '../../../box/index.js';
import { readPods } from '../../../scripts/demo/pods.js';
import { judge, type Visit } from '../../../scripts/demo/visits.js';

const NAMES = new Map([
  ['10.244.1.2', 'one'],
  ['10.244.2.2', 'two'],
]);

function visit(
  more: { used?: string[]; scope?: Visit['scope']; policy?: 'Local'; sticky?: true } = {},
): Visit {
  const { used = [...NAMES.keys()], scope = 'external' } = more;
  return {
    row: {
      namespace: 'default',
      name: 's',
      portName: '',
      type: 'NodePort',
      ip: '*',
      port: 30001,
      protocol: 'TCP',
      externalTrafficPolicy: more.policy ?? 'Cluster',
      internalTrafficPolicy: 'Cluster',
      affinity: more.sticky
        ? { mode: 'ClientIP', timeoutSeconds: 10 }
        : { mode: 'None', timeoutSeconds: null },
      backends: [...NAMES.keys()].map((ip) => ({
        ip,
        port: 80,
        nodeName: null,
        zone: null,
        ready: true,
        serving: true,
        terminating: false,
        local: false,
        usedFor: used.includes(ip) ? [scope] : [],
      })),
    },
    client: 'outside',
    from: 'outside',
    sourceIp: '172.30.0.100',
    ip: '172.30.0.11',
    node: 'node1',
    scope,
  };
}

function report(more: Partial<ClientReport>): ClientReport {
  return {
    ...({
      mode: 'tcp',
      ok: 0,
      failed: 0,
      errors: {},
      failedIn: {},
      byServer: {},
      peers: {},
      locals: {},
    } as const),
    ...{ peerName: {}, elapsedMs: 1, minMs: 1, meanMs: 1, maxMs: 1, firstFailureMs: 0, lastFailureMs: 0 },
    ...{ opened: 0, alive: 0 },
    ...more,
  };
}

const both = report({ ok: 4, byServer: { two: 1, one: 3 }, peers: { '172.30.0.100': 3, '172.30.0.11': 1 } });

describe('how the demo judges a visit', () => {
  it('good: all answered, every usable backend took part', () => {
    expect(judge(visit(), both, 4, NAMES)).toEqual({
      good: true,
      text: '4 of 4: one 3, two 1; source kept 3, else 172.30.0.11 1',
    });
  });

  it.each([
    ['an attempt failed', visit(), { ...both, ok: 3, errors: { ECONNRESET: 1 } }],
    ['a backend that is not usable answered', visit({ used: ['10.244.1.2'] }), both],
    ['a usable backend was never chosen', visit(), { ...both, byServer: { one: 4 } }],
    ['affinity did not hold', visit({ sticky: true }), both],
    ['policy Local lost the source', visit({ policy: 'Local' }), both],
    ['a pod lost its source', visit({ scope: 'internal' }), both],
    ['somebody answered though nobody is usable', visit({ used: [] }), both],
    ['silence of another kind than promised', visit({ used: [] }), report({ errors: { EPROTOCOL: 1 } })],
  ])('bad: %s', (_what, given, met) => {
    expect(judge(given, met, 4, NAMES).good).toBe(false);
  });

  it('good: dropped or refused where nobody is usable', () => {
    expect(judge(visit({ used: [] }), report({ errors: { ETIMEDOUT: 1 } }), 1, NAMES).good).toBe(true);
    expect(judge(visit({ used: [] }), report({ errors: { ECONNREFUSED: 1 } }), 1, NAMES).good).toBe(true);
  });
});

describe('the pods of the examples', () => {
  it('all have a place in the box, with names and addresses of their own', () => {
    const pods = readPods('examples');
    expect(pods.length).toBeGreaterThan(20);
    for (const key of ['boxName', 'ipv4', 'ipv6'] as const) {
      expect(new Set(pods.map((pod) => pod[key])).size).toBe(pods.length);
    }
    expect(new Set(pods.map((pod) => pod.node))).toEqual(new Set(['node1', 'node2']));
  });
});
