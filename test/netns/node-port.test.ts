import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, tcpClient, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, standardService } from '../support/cluster/standard.js';

const REMOTE = { tcp: 30080, udp: 30053 };
const LOCAL = { tcp: 30081, udp: 30054 };
const BOTH = { tcp: 30082, udp: 30055 };
const EMPTY = { tcp: 30083, udp: 30056 };

interface Status {
  paths: Record<string, { packets: number }>;
  drops: Record<string, number>;
}

// The same by tc and by XDP: nothing but the counters may tell them apart.
describe.each([
  { xdp: 'off', counted: ['remote_tc', 'reply_tc'] },
  { xdp: 'force', counted: ['remote_xdp', 'reply_xdp'] },
] as const)('outside reaches a NodePort, --xdp=$xdp (SEMANTICS 2, 7)', ({ xdp, counted }) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({ box: { xdp: xdp === 'force' }, agentArgs: [`--xdp=${xdp}`] });
    const { box } = cluster;
    const services = [
      standardService(box, { name: 'remote', number: 1, pods: ['b1', 'b2'], nodePorts: REMOTE }),
      standardService(box, {
        name: 'local',
        number: 2,
        pods: ['b1', 'b2'],
        nodePorts: LOCAL,
        externalTrafficPolicy: 'Local',
      }),
      standardService(box, { name: 'both', number: 3, pods: ['a1', 'b1'], nodePorts: BOTH }),
      standardService(box, { name: 'empty', number: 4, pods: [], nodePorts: EMPTY }),
    ];
    cluster.apply(
      '20-services',
      services.flatMap((s) => s.objects),
    );
    await cluster.reachable('outside', endpoint(box.node('node1').ipv6, BOTH.tcp));
    await cluster.reachable('outside', endpoint(box.node('node2').ipv6, BOTH.tcp));
  });
  afterAll(() => cluster?.close());

  for (const family of FAMILIES) {
    it(`reaches backends on another node with this node's address as source, IPv${family}`, async () => {
      const { box } = cluster;
      const node1 = addressOf(box.node('node1'), family);
      const tcp = await tcpClient(box.outside, endpoint(node1, REMOTE.tcp), { count: 200, concurrency: 8 });
      expect(tcp).toMatchObject({ ok: 200, failed: 0 });
      expect(Object.keys(tcp.byServer).sort()).toEqual(['b1', 'b2']);
      expect(tcp.peers).toEqual({ [node1]: 200 });
      expect(tcp.peerName).toEqual({ [endpoint(node1, REMOTE.tcp)]: 200 });
      const udp = await udpClient(box.outside, endpoint(node1, REMOTE.udp), { count: 200 });
      expect(udp).toMatchObject({ ok: 200, failed: 0, peers: { [node1]: 200 } });
      const { paths } = await cluster.shunt<Status>('node1', ['status']);
      for (const path of counted) {
        expect(paths[path]?.packets ?? 0, path).toBeGreaterThan(200);
      }
    });

    it(`keeps the client's address for backends on the node itself, IPv${family}`, async () => {
      const { box } = cluster;
      const client = addressOf(box.outside, family);
      const to = endpoint(addressOf(box.node('node2'), family), REMOTE.tcp);
      const tcp = await tcpClient(box.outside, to, { count: 100, concurrency: 8 });
      expect(tcp).toMatchObject({ ok: 100, failed: 0, peers: { [client]: 100 } });
      const udp = await udpClient(box.outside, endpoint(addressOf(box.node('node2'), family), REMOTE.udp), {
        count: 100,
      });
      expect(udp).toMatchObject({ ok: 100, failed: 0, peers: { [client]: 100 } });
    });

    it(`spreads evenly over a local and a remote backend, IPv${family}`, async () => {
      const to = endpoint(addressOf(cluster.box.node('node1'), family), BOTH.tcp);
      const report = await tcpClient(cluster.box.outside, to, { count: 600, concurrency: 8 });
      expect(report).toMatchObject({ ok: 600, failed: 0 });
      expect(report.byServer.a1).toBeGreaterThan(240);
      expect(report.byServer.b1).toBeGreaterThan(240);
    });

    it(`Local: the node with backends answers and keeps the source, the other is silent, IPv${family}`, async () => {
      const { box } = cluster;
      const client = addressOf(box.outside, family);
      const node2 = addressOf(box.node('node2'), family);
      const tcp = await tcpClient(box.outside, endpoint(node2, LOCAL.tcp), { count: 100, concurrency: 4 });
      expect(tcp).toMatchObject({ ok: 100, failed: 0, peers: { [client]: 100 } });
      const udp = await udpClient(box.outside, endpoint(node2, LOCAL.udp), { count: 50 });
      expect(udp).toMatchObject({ ok: 50, failed: 0, peers: { [client]: 50 } });
      const node1 = addressOf(box.node('node1'), family);
      const silent = await tcpClient(box.outside, endpoint(node1, LOCAL.tcp), { count: 1, timeoutMs: 1500 });
      expect(silent.errors).toEqual({ ETIMEDOUT: 1 });
      const { drops } = await cluster.shunt<Status>('node1', ['status']);
      expect(drops.no_local_backend).toBeGreaterThan(0);
    });

    it(`refuses where nobody can answer, IPv${family}`, async () => {
      const node1 = addressOf(cluster.box.node('node1'), family);
      const tcp = await tcpClient(cluster.box.outside, endpoint(node1, EMPTY.tcp), { count: 2 });
      expect(tcp.errors).toEqual({ ECONNREFUSED: 2 });
      const udp = await udpClient(cluster.box.outside, endpoint(node1, EMPTY.udp), {
        count: 2,
        connected: true,
      });
      expect(udp.errors).toEqual({ ECONNREFUSED: 2 });
    });

    it(`serves pods and the node itself on the NodePort too, IPv${family}`, async () => {
      const { box } = cluster;
      const to = endpoint(addressOf(box.node('node1'), family), REMOTE.tcp);
      expect(await tcpClient(box.pod('a1'), to, { count: 20 })).toMatchObject({ ok: 20, failed: 0 });
      expect(await tcpClient(box.node('node1'), to, { count: 20 })).toMatchObject({ ok: 20, failed: 0 });
    });
  }
});
