import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdConnections, transfer, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { FAMILIES, type StandardService, standardService } from '../support/cluster/standard.js';

// Request and reply must cross the bridge alike, or nf_conntrack sees half of a connection (ARCHITECTURE 1, 5).
describe.each([0, 1] as const)(
  'a pod and its backend on one bridge, INVALID dropped, bridge-nf-call-iptables %i',
  (bridgeNfCallIptables) => {
    let cluster: Cluster;
    let service: StandardService;

    beforeAll(async () => {
      cluster = await Cluster.start({
        box: {
          mode: 'bridge',
          netfilter: ['conntrack', 'invalidDrop', 'masquerade', 'forwardDrop'],
          bridgeNfCallIptables,
        },
      });
      service = standardService(cluster.box, { name: 'web', number: 1, pods: ['a2'] });
      cluster.apply('20-services', service.objects);
      await cluster.reachable('a1', service.tcp[4]);
      await cluster.reachable('a1', service.tcp[6]);
    });
    afterAll(() => cluster?.close());

    for (const family of FAMILIES) {
      it(`20 MB arrive intact in both directions, IPv${family}`, async () => {
        const client = cluster.box.pod('a1');
        for (const direction of ['send', 'receive'] as const) {
          const bytes = 20 * 1024 * 1024;
          const report = await transfer(client, service.tcp[family], { bytes, direction });
          expect(report, direction).toMatchObject({ ok: true, bytes, error: null });
        }
        const udp = await udpClient(client, service.udp[family], { count: 20, size: 1200, answerSize: 1200 });
        expect(udp).toMatchObject({ ok: 20, failed: 0, byServer: { a2: 20 } });
      });

      it(`connections live on when the node forgets its neighbours, IPv${family}`, async () => {
        const held = await holdConnections(cluster.box.pod('a1'), service.tcp[family], {
          count: 10,
          seconds: 20,
          intervalMs: 20,
        });
        for (let i = 0; i < 5; i++) {
          await cluster.box.exec('node1', ['ip', `-${family}`, 'neigh', 'flush', 'dev', 'cni0']);
          await new Promise((resolve) => setTimeout(resolve, 300));
        }
        const report = await held.stop();
        expect(report).toMatchObject({ failed: 0, errors: {}, opened: 10, alive: 10 });
      });
    }
  },
);
