import { pino } from 'pino';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { newCounters } from '../../../src/agent/counters.js';
import type { Written } from '../../../src/agent/delta.js';
import { MapProgrammer } from '../../../src/agent/map-programmer.js';
import { KubeProxyMetrics } from '../../../src/agent/metrics/kube-proxy-metrics.js';
import { Updater } from '../../../src/agent/updater.js';
import type { DesiredService } from '../../../src/model/desired.js';
import { Model } from '../../../src/model/index.js';
import type { Change } from '../../../src/model/objects.js';
import { FakeMapStore, SMALL_SIZES } from '../../support/mapStore.js';
import { until } from '../kube/recorder.js';
import { endpoint, port, put, service, slice } from '../model/builders.js';

/** As many as Kubernetes' own test of the latency makes. */
const SERVICES = 200;
const ROOM = { services: 4096, lb_backends: 8192, lb_slots: 65_536, lb_frontends: 8192, lb_addresses: 8192 };

const web = (i: number): Change =>
  put(service({ name: `web${i}`, clusterIPs: [`10.96.${i >> 8}.${i & 255}`], ports: [port()] }));
const endpoints = (i: number, count: number): Change =>
  put(
    slice({
      name: `web${i}-1`,
      serviceName: `web${i}`,
      endpoints: Array.from({ length: count }, (_, n) => endpoint(`10.${n + 1}.${i >> 8}.${i & 255}`)),
      lastChangeTriggerTimeMs: Date.now(),
    }),
  );

/** From changes to maps, all of it real but the kernel. */
async function setup(services: number) {
  const store = new FakeMapStore({ ...SMALL_SIZES, ...ROOM });
  const counters = newCounters();
  const writes: Written[] = [];
  const registry = new Registry();
  const metrics = new KubeProxyMetrics(registry);
  const updater: Updater<DesiredService> = new Updater({
    model: new Model({ nodeName: 'n1', serveAll: true }),
    programmer: new MapProgrammer({
      store,
      clusterCIDRs: [],
      onProblem: ({ message }) => expect.unreachable(message),
      onRoom: () => {},
      onFailure: (error) => expect.unreachable(String(error)),
    }),
    counters,
    log: pino({ level: 'silent' }),
    onWarning: () => {},
    onServing: () => {},
    onWritten: (written) => {
      writes.push(written);
      metrics.written(written);
    },
    mergeMs: 1,
  });
  updater.setNodeAddresses([{ ip: '192.0.2.11', nodePorts: true, loopback: false, primary: true }]);
  const indices = Array.from({ length: services }, (_, i) => i);
  updater.enqueue(indices.flatMap((i) => [web(i), endpoints(i, 2)]));
  updater.markSynced();
  await until('the first write', () => updater.serving, 30_000);
  writes.length = 0;
  return { updater, counters, writes, store, registry };
}

const rest = (updater: Updater<DesiredService>) =>
  until('rest', () => updater.pendingSinceMs === undefined, 30_000);

describe('from an event to the data path, by what it takes', () => {
  it('one changed slice costs the same among 10, 100 and 1,000 Services: one Service, one plan, as many operations', async () => {
    const costs = [];
    for (const services of [10, 100, 1000]) {
      const { updater, counters, store } = await setup(services);
      const before = { ...counters };
      updater.enqueue([endpoints(7, 3)]);
      await rest(updater);
      const cost = (name: keyof typeof before) => counters[name] - before[name];
      costs.push({
        recomputed: cost('servicesRecomputed'),
        plans: cost('applies'),
        operations: cost('opsApplied'),
        compared: cost('fullResyncs'),
      });
      expect([...store.backends.values()].filter(({ addr }) => addr === '10.3.0.7')).toHaveLength(1);
      await updater.stop();
    }
    // Four operations: the new backend's counters, the backend, a run of slots, the frontend.
    expect(costs[0]).toEqual({ recomputed: 1, plans: 1, operations: 4, compared: 0 });
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[2]).toEqual(costs[0]);
  });

  it('no event waits for more than the write that is going on: 200 slices among a flood of others', async () => {
    const { updater, writes, registry } = await setup(SERVICES);
    for (let i = 0; i < SERVICES; i++) {
      const begun = writes.length;
      const atMs = performance.now();
      updater.enqueue([endpoints(i, 3), endpoints((i + 1) % SERVICES, 2 + (i % 2))]);
      if (i % 10 !== 0) continue;
      // A flood goes on behind it, and does not hold it back.
      const flood = setInterval(() => updater.enqueue([endpoints(i, 2), endpoints(i, 3)]), 0);
      const has = () => writes.findIndex(({ arrivals }) => arrivals.some((a) => a.atMs >= atMs));
      await until('the event to be written', () => has() >= 0, 30_000);
      clearInterval(flood);
      expect(has() - begun).toBeLessThanOrEqual(1);
    }
    await rest(updater);
    expect(writes.every(({ full }) => !full)).toBe(true);
    // Each of them is in kube-proxy's own histogram of it.
    const slices = writes.flatMap(({ arrivals }) => arrivals).filter(({ kind }) => kind === 'EndpointSlice');
    const text = await registry.getSingleMetricAsString('kubeproxy_network_programming_duration_seconds');
    expect(text).toContain(`_count{ip_family="IPv4"} ${slices.length}`);
    await updater.stop();
  });

  it('a burst of 200 slices is one plan', async () => {
    const { updater, writes, counters } = await setup(SERVICES);
    const before = counters.applies;
    updater.enqueue(Array.from({ length: SERVICES }, (_, i) => endpoints(i, 1)));
    await rest(updater);
    expect(counters.applies - before).toBe(1);
    expect(writes.flatMap(({ arrivals }) => arrivals)).toHaveLength(SERVICES);
    await updater.stop();
  });
});
