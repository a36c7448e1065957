import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, type NetfilterPreset, tcpClient, transfer, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, type StandardService, standardService } from '../support/cluster/standard.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };

const VARIANTS: { name: string; netfilter: NetfilterPreset[]; rpFilter: 0 | 1 | 2 }[] = [
  { name: 'conntrack', netfilter: ['conntrack'], rpFilter: 2 },
  { name: 'conntrack and INVALID dropped', netfilter: ['conntrack', 'invalidDrop'], rpFilter: 1 },
  {
    name: "conntrack, INVALID dropped, flannel's MASQUERADE rules",
    netfilter: ['conntrack', 'invalidDrop', 'masquerade'],
    rpFilter: 2,
  },
  {
    name: 'FORWARD policy DROP with accepts, and all of the above',
    netfilter: ['conntrack', 'invalidDrop', 'masquerade', 'forwardDrop'],
    rpFilter: 1,
  },
];

describe.each(VARIANTS)(
  'the tc paths with netfilter: $name, rp_filter $rpFilter',
  ({ netfilter, rpFilter }) => {
    let cluster: Cluster;
    let service: StandardService;

    beforeAll(async () => {
      cluster = await Cluster.start({ box: { netfilter, rpFilter }, agentArgs: ['--xdp=off'] });
      service = standardService(cluster.box, {
        name: 'web',
        number: 1,
        pods: ['a2', 'b1', 'b2'],
        nodePorts: NODE_PORT,
      });
      cluster.apply('20-services', service.objects);
      await cluster.reachable('a1', service.tcp[6]);
      await cluster.reachable('outside', endpoint(cluster.box.node('node1').ipv6, NODE_PORT.tcp));
    });
    afterAll(() => cluster?.close());

    for (const family of FAMILIES) {
      it(`pod -> cluster IP, IPv${family}`, async () => {
        const client = cluster.box.pod('a1');
        const tcp = await tcpClient(client, service.tcp[family], { count: 200, concurrency: 8 });
        expect(tcp).toMatchObject({ ok: 200, failed: 0, peers: { [addressOf(client, family)]: 200 } });
        expect(Object.keys(tcp.byServer)).toHaveLength(3);
        expect(await udpClient(client, service.udp[family], { count: 100 })).toMatchObject({
          ok: 100,
          failed: 0,
        });
      });

      it(`node -> cluster IP, IPv${family}`, async () => {
        const client = cluster.box.node('node1');
        const tcp = await tcpClient(client, service.tcp[family], { count: 100, concurrency: 8 });
        expect(tcp).toMatchObject({ ok: 100, failed: 0 });
        expect(await udpClient(client, service.udp[family], { count: 50 })).toMatchObject({
          ok: 50,
          failed: 0,
        });
      });

      it(`outside -> NodePort, backends on both nodes, IPv${family}`, async () => {
        const node1 = addressOf(cluster.box.node('node1'), family);
        const tcp = await tcpClient(cluster.box.outside, endpoint(node1, NODE_PORT.tcp), {
          count: 300,
          concurrency: 8,
        });
        expect(tcp).toMatchObject({ ok: 300, failed: 0 });
        expect(Object.keys(tcp.byServer)).toHaveLength(3);
        const udp = await udpClient(cluster.box.outside, endpoint(node1, NODE_PORT.udp), { count: 100 });
        expect(udp).toMatchObject({ ok: 100, failed: 0 });
        const sent = await transfer(cluster.box.outside, endpoint(node1, NODE_PORT.tcp), {
          bytes: 10 * 1024 * 1024,
          direction: 'send',
        });
        expect(sent).toMatchObject({ ok: true, error: null });
      });
    }
  },
);
