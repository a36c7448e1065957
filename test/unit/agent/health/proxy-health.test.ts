import { describe, expect, it } from 'vitest';
import { ProxyHealth } from '../../../../src/agent/health/proxy-health.js';
import type { NodeObject } from '../../../../src/model/objects.js';

const node = (change: Partial<NodeObject> = {}): NodeObject => ({
  name: 'n1',
  labels: {},
  internalIPs: [],
  podCIDRs: [],
  taints: [],
  deleting: false,
  ...change,
});

function health(pendingSinceMs: number | undefined, lastWrittenMs: number | undefined, nowMs: number) {
  const progress = { pendingSinceMs, lastWrittenMs };
  return new ProxyHealth({ nodeName: 'n1', progress, staleMs: 60_000, nowMs: () => nowMs });
}

describe('SEMANTICS 8: whether the proxy is healthy', () => {
  it.each<[string, number | undefined, number | undefined, number, boolean]>([
    ['before the first write, however long it takes', 0, undefined, 1e9, true],
    ['nothing waits', undefined, 5, 1e9, true],
    ['a change waits, not for long', 100_000, 5, 159_999, true],
    ['a change has waited for too long', 100_000, 5, 160_000, false],
  ])('%s', (_, pending, written, now, healthy) => {
    expect(health(pending, written, now).healthy).toBe(healthy);
  });

  it('says when the maps were last right', () => {
    expect(health(undefined, 5, 100).state()).toMatchObject({ lastUpdatedMs: 5, currentMs: 100 });
    expect(health(undefined, undefined, 100).state()).toMatchObject({ lastUpdatedMs: 100 });
  });
});

describe('SEMANTICS 8: whether the node should get traffic', () => {
  const taint = (key: string) => node({ taints: [{ key, effect: 'NoSchedule' }] });
  it.each<[string, string, NodeObject | undefined, boolean]>([
    ['an ordinary node', 'n1', node(), true],
    ['another taint', 'n1', taint('node.kubernetes.io/unschedulable'), true],
    ['about to be removed by the autoscaler', 'n1', taint('ToBeDeletedByClusterAutoscaler'), false],
    ['being deleted', 'n1', node({ deleting: true }), false],
    ['deleted', 'n1', undefined, false],
    ['another node of that kind', 'n2', taint('ToBeDeletedByClusterAutoscaler'), true],
  ])('%s', (_, key, object, eligible) => {
    const made = health(undefined, 5, 100);
    made.objectsChanged([{ kind: 'Node', key, object }]);
    expect(made.state()).toMatchObject({ nodeEligible: eligible, healthy: true });
  });

  it('follows the node', () => {
    const made = health(undefined, 5, 100);
    made.objectsChanged([{ kind: 'Node', key: 'n1', object: taint('ToBeDeletedByClusterAutoscaler') }]);
    made.objectsChanged([{ kind: 'Node', key: 'n1', object: node() }]);
    expect(made.state().nodeEligible).toBe(true);
  });
});
