import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, tcpClient, transfer, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, standardService } from '../support/cluster/standard.js';

const REMOTE = { tcp: 30080, udp: 30053 };
const LOCAL = { tcp: 30081, udp: 30054 };
const EMPTY = { tcp: 30082, udp: 30055 };
/** node1's own addresses on the tunnel: what is sent there arrives without Ethernet header. */
const TUNNEL = { 4: '10.244.1.0', 6: 'fd00:244:1::' };

describe('backends and clients behind a device without Ethernet header (ARCHITECTURE 1)', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({ box: { mode: 'tunnel' } });
    const { box } = cluster;
    const services = [
      standardService(box, { name: 'remote', number: 1, pods: ['b1', 'b2'], nodePorts: REMOTE }),
      standardService(box, { name: 'local', number: 2, pods: ['a1'], nodePorts: LOCAL }),
      standardService(box, { name: 'empty', number: 3, pods: [], nodePorts: EMPTY }),
    ];
    cluster.apply(
      '20-services',
      services.flatMap((s) => s.objects),
    );
    await cluster.reachable('outside', endpoint(box.node('node1').ipv6, REMOTE.tcp));
  });
  afterAll(() => cluster?.close());

  for (const family of FAMILIES) {
    it(`carries 10 MB each way from outside to a backend behind the tunnel, IPv${family}`, async () => {
      const node1 = addressOf(cluster.box.node('node1'), family);
      for (const direction of ['send', 'receive'] as const) {
        const report = await transfer(cluster.box.outside, endpoint(node1, REMOTE.tcp), {
          bytes: 10 * 1024 * 1024,
          direction,
        });
        expect(report).toMatchObject({ ok: true, error: null });
      }
      const udp = await udpClient(cluster.box.outside, endpoint(node1, REMOTE.udp), { count: 100 });
      expect(udp).toMatchObject({ ok: 100, failed: 0, peers: { [TUNNEL[family]]: 100 } });
    });

    it(`serves a client that comes by the tunnel, from both nodes, IPv${family}`, async () => {
      const client = cluster.box.pod('b1');
      const here = await tcpClient(client, endpoint(TUNNEL[family], LOCAL.tcp), { count: 50 });
      expect(here).toMatchObject({
        ok: 50,
        failed: 0,
        byServer: { a1: 50 },
        peers: { [addressOf(client, family)]: 50 },
      });
      const back = await tcpClient(client, endpoint(TUNNEL[family], REMOTE.tcp), { count: 50 });
      expect(back).toMatchObject({ ok: 50, failed: 0, peers: { [TUNNEL[family]]: 50 } });
    });

    it(`refuses a client that comes by the tunnel, IPv${family}`, async () => {
      const client = cluster.box.pod('b1');
      const tcp = await tcpClient(client, endpoint(TUNNEL[family], EMPTY.tcp), { count: 3 });
      expect(tcp).toMatchObject({ ok: 0, errors: { ECONNREFUSED: 3 } });
      const udp = await udpClient(client, endpoint(TUNNEL[family], EMPTY.udp), { count: 3, connected: true });
      expect(udp).toMatchObject({ ok: 0, errors: { ECONNREFUSED: 3 } });
    });
  }
});
