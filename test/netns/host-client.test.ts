import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, tcpClient, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, type StandardService, standardService } from '../support/cluster/standard.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };

describe.each([
  { socketLb: 'on', path: 'sock_connect' },
  { socketLb: 'off', path: 'node_egress' },
] as const)(
  'a process on the node reaches Services, --socket-lb=$socketLb (SEMANTICS 6, 7)',
  ({ socketLb, path }) => {
    let cluster: Cluster;
    let service: StandardService;
    let empty: StandardService;

    beforeAll(async () => {
      cluster = await Cluster.start({ agentArgs: [`--socket-lb=${socketLb}`] });
      service = standardService(cluster.box, {
        name: 'web',
        number: 1,
        pods: ['a1', 'b1', 'b2'],
        nodePorts: NODE_PORT,
      });
      empty = standardService(cluster.box, { name: 'empty', number: 2, pods: [] });
      cluster.apply('20-services', [...service.objects, ...empty.objects]);
      await cluster.reachable('a1', service.tcp[6]);
      await cluster.reachable('a1', service.tcp[4]);
    });
    afterAll(() => cluster?.close());

    for (const family of FAMILIES) {
      it(`TCP to the cluster IP, backends here and elsewhere, IPv${family}`, async () => {
        const report = await tcpClient(cluster.box.node('node1'), service.tcp[family], {
          count: 150,
          concurrency: 4,
        });
        expect(report).toMatchObject({ ok: 150, failed: 0 });
        expect(Object.keys(report.byServer).sort()).toEqual(['a1', 'b1', 'b2']);
        expect(report.peerName).toEqual({ [service.tcp[family]]: 150 });
        const { paths } = await cluster.shunt<{ paths: Record<string, { packets: number }> }>('node1', [
          'status',
        ]);
        expect(paths[path]?.packets ?? 0).toBeGreaterThan(100);
      });

      it(`UDP from unconnected sockets, IPv${family}`, async () => {
        const report = await udpClient(cluster.box.node('node1'), service.udp[family], { count: 60 });
        expect(report).toMatchObject({ ok: 60, failed: 0, peerName: { [service.udp[family]]: 60 } });
      });

      it(`UDP from connected sockets, which no hook translates when they send, IPv${family}`, async () => {
        const report = await udpClient(cluster.box.node('node1'), service.udp[family], {
          count: 60,
          connected: true,
        });
        expect(report).toMatchObject({ ok: 60, failed: 0, peerName: { [service.udp[family]]: 60 } });
      });

      it(`is refused at once where nobody can answer, IPv${family}`, async () => {
        const node = cluster.box.node('node1');
        const tcp = await tcpClient(node, empty.tcp[family], { count: 3 });
        expect(tcp.errors).toEqual({ ECONNREFUSED: 3 });
        expect(tcp.lastFailureMs).toBeLessThan(1000);
        const udp = await udpClient(node, empty.udp[family], { count: 2, connected: true });
        expect(udp.errors).toEqual({ ECONNREFUSED: 2 });
      });

      // Without the socket hooks a packet to an own address never leaves by a device.
      if (socketLb === 'on')
        it(`reaches its own NodePort, on loopback too, IPv${family}`, async () => {
          const node = cluster.box.node('node1');
          for (const address of [addressOf(node, family), family === 4 ? '127.0.0.1' : '::1']) {
            const tcp = await tcpClient(node, endpoint(address, NODE_PORT.tcp), { count: 20 });
            expect(tcp, address).toMatchObject({ ok: 20, failed: 0 });
            const udp = await udpClient(node, endpoint(address, NODE_PORT.udp), { count: 20 });
            expect(udp, address).toMatchObject({ ok: 20, failed: 0 });
          }
        });
    }
  },
);
