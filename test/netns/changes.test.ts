import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tcpClient, udpClient } from '../../box/index.js';
import { BoxApi } from '../support/cluster/api.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import type { KubeObject } from '../support/cluster/objects.js';
import { type StandardService, standardService } from '../support/cluster/standard.js';

interface Status {
  counters: { events: number; servicesRecomputed: number; fullResyncs: number; applies: number };
  latencyMs: { samples: number; p50?: number; p99?: number };
}

const STATUS_FILES = ['node1', 'node2'] as const;

// The same steps whichever way the objects come.
describe.each(['manifests', 'API server'] as const)('changes reach the data path, through the %s', (kind) => {
  let cluster: Cluster;
  let api: BoxApi | undefined;
  let file: string;

  beforeAll(async () => {
    cluster = await Cluster.start({ agentless: true });
    file = join(cluster.box.directory, 'status');
    if (kind === 'API server') {
      api = await BoxApi.start(cluster.box);
      await api.put(...Cluster.nodeObjects(cluster.box));
    }
    const source = api ? ['--kubeconfig', api.kubeconfig] : ['--manifests', cluster.manifests];
    for (const node of STATUS_FILES) {
      await cluster.startAgent(node, [...source, '--replace-kube-proxy', '--status-file', `${file}-${node}`]);
    }
  });
  afterAll(() => cluster?.close());

  let present: KubeObject[] = [];

  /** Makes these the objects that exist. */
  async function set(objects: KubeObject[]): Promise<void> {
    if (!api) {
      cluster.apply('20-services', objects);
      return;
    }
    const key = (o: KubeObject) => `${o.kind}/${o.metadata.name}`;
    const wanted = new Set(objects.map(key));
    const changed = objects.filter((o) => !present.some((p) => JSON.stringify(p) === JSON.stringify(o)));
    if (changed.length > 0) await api.put(...changed);
    const gone = present.filter((o) => !wanted.has(key(o)));
    if (gone.length > 0) await api.delete(...gone);
    present = objects;
  }

  const status = (node: (typeof STATUS_FILES)[number]): Status =>
    JSON.parse(readFileSync(`${file}-${node}`, 'utf8')) as Status;

  const web = (pods: string[]): StandardService =>
    standardService(cluster.box, { name: 'web', number: 1, pods });

  async function servers(service: StandardService): Promise<string[]> {
    const report = await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 40, timeoutMs: 1000 });
    return report.failed > 0
      ? [`failed: ${Object.keys(report.errors)}`]
      : Object.keys(report.byServer).sort();
  }

  async function expectServers(pods: string[]): Promise<void> {
    const service = web(pods);
    await eventually(
      `the backends to be ${pods}`,
      async () => (await servers(service)).join() === pods.join(),
    );
  }

  it('serves a Service that is added', async () => {
    await set(web(['a2']).objects);
    await expectServers(['a2']);
    const udp = await udpClient(cluster.box.pod('a1'), web(['a2']).udp[6], { count: 10 });
    expect(udp).toMatchObject({ ok: 10, failed: 0 });
  });

  it('follows endpoints that come and go', async () => {
    await set(web(['a2', 'b1', 'b2']).objects);
    await expectServers(['a2', 'b1', 'b2']);
    await set(web(['b2']).objects);
    await expectServers(['b2']);
  });

  it('refuses after a scale to zero and heals with the next endpoint', async () => {
    await set(web([]).objects);
    await eventually('a refusal', async () => (await servers(web([])))[0] === 'failed: ECONNREFUSED');
    await set(web(['b1']).objects);
    await expectServers(['b1']);
  });

  it('follows a changed port', async () => {
    const objects = JSON.parse(
      JSON.stringify(web(['b1']).objects).replace('"port":80,', '"port":8888,'),
    ) as KubeObject[];
    await set(objects);
    await cluster.reachable('a1', '10.96.1.1:8888');
    const old = await tcpClient(cluster.box.pod('a1'), '10.96.1.1:80', { count: 1 });
    expect(old.errors).toEqual({ ECONNREFUSED: 1 });
    await set(web(['b1']).objects);
    await expectServers(['b1']);
  });

  it('makes a single change without touching other services or comparing everything', async () => {
    const others = Array.from({ length: 100 }, (_, i) =>
      standardService(cluster.box, { name: `other${i}`, number: 10 + i, pods: ['a2'] }),
    );
    const rest = others.flatMap((s) => s.objects);
    await set([...web(['b1']).objects, ...rest]);
    await cluster.reachable('a1', (others.at(-1) as StandardService).tcp[6]);
    await eventually('the agents to come to rest', async () => {
      const before = status('node1').counters.events;
      await new Promise((resolve) => setTimeout(resolve, 1500));
      return status('node1').counters.events === before;
    });
    const before = { node1: status('node1'), node2: status('node2') };
    await set([...web(['a2', 'b1']).objects, ...rest]);
    await expectServers(['a2', 'b1']);
    await eventually(
      'the status files',
      () => status('node1').counters.applies > before.node1.counters.applies,
    );
    for (const node of STATUS_FILES) {
      const was = before[node].counters;
      const now = status(node).counters;
      expect(now.fullResyncs).toBe(was.fullResyncs);
      // Two ports in two families; each of the two changed slices may arrive by itself.
      expect(now.servicesRecomputed - was.servicesRecomputed).toBeLessThanOrEqual(8);
      expect(now.events - was.events).toBeLessThanOrEqual(2);
    }
    const { latencyMs } = status('node1');
    expect(latencyMs.samples).toBeGreaterThan(5);
    console.log(`event -> map through the ${kind}: p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`);
  });

  if (kind === 'API server') {
    it('goes on after dropped connections and after 410 Gone', async () => {
      const source = api as BoxApi;
      await source.control('drop');
      await set(web(['a2']).objects);
      await expectServers(['a2']);
      await source.control('compact');
      await source.control('drop');
      await set(web(['b1', 'b2']).objects);
      await expectServers(['b1', 'b2']);
    });
  }

  it('forgets a Service that is deleted', async () => {
    await set([]);
    await eventually('the frontends to be gone', async () => {
      const frontends = await cluster.shunt<unknown[]>('node1', ['services']);
      return frontends.length === 0;
    });
    const report = await tcpClient(cluster.box.pod('a1'), web([]).tcp[4], { count: 1, timeoutMs: 500 });
    expect(report.ok).toBe(0);
  });
});
