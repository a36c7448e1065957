import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  endpoint,
  holdConnections,
  type RunningLoad,
  repositoryRoot,
  tcpClient,
  udpClient,
} from '../../box/index.js';
import type { AffinityRow, BackendRow, FlowRow, ServiceRow } from '../../src/cli/views/rows.js';
import type { Status } from '../../src/cli/views/status.js';
import { Cluster } from '../support/cluster/cluster.js';
import { type StandardService, standardService } from '../support/cluster/standard.js';

const NODE_PORT = 30080;

describe('the command line on a live node', () => {
  let cluster: Cluster;
  let service: StandardService;
  let held: RunningLoad;

  beforeAll(async () => {
    cluster = await Cluster.start({ agentless: true });
    service = standardService(cluster.box, {
      name: 'web',
      number: 1,
      pods: ['a2', 'b1'],
      nodePorts: { tcp: NODE_PORT, udp: 30053 },
      externalTrafficPolicy: 'Local',
      affinitySeconds: 600,
    });
    cluster.apply('20-services', service.objects);
    await cluster.startAgent('node1');
    held = await holdConnections(cluster.box.pod('a1'), service.tcp[4], { count: 3, seconds: 120 });
  });
  afterAll(() => cluster?.close());

  /** Runs bin/shunt in node1 to its end, whatever its exit code. */
  async function shunt(...args: string[]) {
    const node = cluster.box.node('node1');
    const argv = [join(repositoryRoot(), 'bin/shunt'), ...args, '--pin-path', node.pinPath];
    return cluster.box.spawn(node, argv).exited;
  }

  async function json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await shunt(...args, '-o', 'json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout) as T;
  }

  async function checkReading() {
    const services = await json<ServiceRow[]>('services', '-n', 'default');
    // Two ports, each with a cluster IP and a NodePort in both families.
    expect(services.map((s) => `${s.portName} ${s.type} ${endpoint(s.ip, s.port)}/${s.protocol}`)).toEqual([
      'dns ClusterIP 10.96.1.1:53/UDP',
      'dns ClusterIP [fd00:96::1:1]:53/UDP',
      'dns NodePort *:30053/UDP',
      'dns NodePort *:30053/UDP',
      'http ClusterIP 10.96.1.1:80/TCP',
      'http ClusterIP [fd00:96::1:1]:80/TCP',
      `http NodePort *:${NODE_PORT}/TCP`,
      `http NodePort *:${NODE_PORT}/TCP`,
    ]);
    const a2 = cluster.box.pod('a2').ipv4;
    const b1 = cluster.box.pod('b1').ipv4;
    expect(
      services.find((s) => s.type === 'NodePort' && s.backends[0]?.ip === a2 && s.protocol === 'TCP'),
    ).toEqual({
      namespace: 'default',
      name: 'web',
      portName: 'http',
      type: 'NodePort',
      ip: '*',
      port: NODE_PORT,
      protocol: 'TCP',
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Cluster',
      affinity: { mode: 'ClientIP', timeoutSeconds: 600 },
      backends: [
        {
          ...{ ip: a2, port: 8080, nodeName: 'node1', zone: null, ready: true, serving: true },
          ...{ terminating: false, local: true, usedFor: ['internal', 'external'] },
        },
        {
          ...{ ip: b1, port: 8080, nodeName: 'node2', zone: null, ready: true, serving: true },
          ...{ terminating: false, local: false, usedFor: ['internal'] },
        },
      ],
    });
    const flows = (await json<FlowRow[]>('flows')).filter((flow) => flow.protocol === 'TCP');
    expect(flows.filter((flow) => flow.state === 'established')).toHaveLength(3);
    const [affinity] = await json<AffinityRow[]>('affinities');
    expect(affinity).toMatchObject({ name: 'web', portName: 'http', client: cluster.box.pod('a1').ipv4 });
    // One client, so one backend: the one that is remembered has all flows.
    expect(new Set(flows.map((flow) => flow.backend.ip))).toEqual(new Set([affinity?.backend?.ip]));
    const backends = await json<BackendRow[]>('backends', '-n', 'default');
    expect(backends).toHaveLength(8);
    expect(backends.reduce((sum, backend) => sum + backend.newFlows, 0)).toBe(3);
  }

  it('prints services, backends, flows and affinities of the running node', checkReading);

  it('counts packets by path and drops by reason', async () => {
    const before = await json<Status>('status');
    expect(before).toMatchObject({ layoutVersion: 1, agent: { alive: true } });
    const hooks = before.links.filter((link) => link.device === 'eth0').map((link) => link.hook);
    expect(hooks.sort()).toEqual(['tc_egress', 'tc_ingress']);
    expect(before.links.every((link) => link.attached)).toBe(true);
    // No local backend for this family's UDP port: nothing else in the box sends any.
    cluster.apply(
      '20-services',
      standardService(cluster.box, {
        name: 'web',
        number: 1,
        pods: ['b1'],
        nodePorts: { tcp: NODE_PORT, udp: 30053 },
        externalTrafficPolicy: 'Local',
        affinitySeconds: 600,
      }).objects,
    );
    await expect.poll(async () => (await json<BackendRow[]>('backends')).length).toBe(4);
    const to = endpoint(cluster.box.node('node1').ipv4, 30053);
    await udpClient(cluster.box.outside, to, { count: 2, timeoutMs: 300 });
    const after = await json<Status>('status');
    expect((after.drops.no_local_backend ?? 0) - (before.drops.no_local_backend ?? 0)).toBe(2);
    expect(after.paths.local?.packets).toBeGreaterThan(0);
    cluster.apply('20-services', service.objects);
    await expect.poll(async () => (await json<BackendRow[]>('backends')).length).toBe(8);
  });

  it('prints maps with their memory, and the entries of one', async () => {
    const maps = await json<{ name: string; entries: number | null; memoryBytes: number }[]>('maps');
    expect(maps.find((map) => map.name === 'lb_frontends')?.entries).toBe(8);
    for (const map of maps.filter(({ name }) => name.startsWith('ct_')))
      expect(map.memoryBytes).toBeGreaterThan(0);
    const entries = await json<{ key: number; value: { name: string } }[]>('maps', 'meta_services');
    expect(entries.map((entry) => entry.value.name)).toEqual(['web', 'web', 'web', 'web']);
  });

  it('cleanup refuses while an agent runs', async () => {
    const { code, stderr } = await shunt('cleanup');
    expect(stderr).toMatch(/^shunt: .*\(EBUSY\)\..*\n$/);
    expect(code).toBe(1);
    expect((await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 1 })).ok).toBe(1);
  });

  it('works the same after the agent was killed', async () => {
    await cluster.agent('node1').kill('SIGKILL');
    const services = await json<ServiceRow[]>('services');
    expect(services).toHaveLength(8);
    expect((await json<Status>('status')).links.length).toBeGreaterThan(0);
    expect((await shunt('services', '-o', 'wide')).stdout).toContain('10.96.1.1:80/TCP');
    expect((await held.stop()).failed).toBe(0);
  });

  it('cleanup then removes every trace, and there is nothing left to print or to remove', async () => {
    const { pinPath } = cluster.box.node('node1');
    expect((await shunt('cleanup')).code).toBe(0);
    expect(existsSync(pinPath)).toBe(false);
    const { code, stdout, stderr } = await shunt('services');
    expect(stderr).toBe(
      `shunt: open maps at ${pinPath}: nothing is pinned there (ENOENT). is the agent running? pass --pin-path if it pins elsewhere\n`,
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect((await shunt('cleanup')).stdout).toBe(`nothing to remove at ${pinPath}\n`);
  });
});
