import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, startCapture, tcpClient, udpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { FAMILIES, standardService } from '../support/cluster/standard.js';
import { Puppet } from '../support/netns/puppet.js';
import { routeToNode } from '../support/netns/routes.js';

const LOAD_BALANCER = { 4: '192.0.2.10', 6: '2001:db8:1::10' };
const EXTERNAL = { 4: '198.51.100.10', 6: '2001:db8:2::10' };
const CLUSTER = { 4: '10.96.1.1', 6: 'fd00:96::1:1' };
const UNKNOWN = { 4: '10.96.77.77', 6: 'fd00:96::77' };
const CLIENTS = ['a1', 'node1', 'outside'] as const;

describe('addresses of Services beyond their ports (SEMANTICS 6)', () => {
  let cluster: Cluster;
  const puppets = new Map<string, Puppet>();
  const puppet = (name: string) => puppets.get(name) as Puppet;

  const service = (pods: string[]) =>
    standardService(cluster.box, {
      name: 'web',
      number: 1,
      pods,
      loadBalancerIPs: Object.values(LOAD_BALANCER),
      externalIPs: Object.values(EXTERNAL),
    });

  beforeAll(async () => {
    cluster = await Cluster.start({ agentArgs: ['--service-cidrs=10.96.0.0/16,fd00:96::/64'] });
    await routeToNode(cluster.box, 'node1');
    cluster.apply('20-services', service(['a2', 'b1']).objects);
    for (const client of CLIENTS) puppets.set(client, await Puppet.start(cluster.box, client));
    await cluster.reachable('a1', service([]).tcp[6]);
    await cluster.reachable('outside', endpoint(LOAD_BALANCER[6], 80));
  });
  afterAll(() => cluster?.close());

  for (const client of CLIENTS)
    for (const family of FAMILIES) {
      it(`${client} pings cluster, load-balancer and external IP while somebody serves, IPv${family}`, async () => {
        for (const ip of [CLUSTER[family], LOAD_BALANCER[family], EXTERNAL[family]])
          for (const size of [8, 64, 1400])
            expect(await puppet(client).ping(ip, { size }), `${ip} ${size}`).toEqual({ from: ip });
      });

      it(`${client} is refused on a port of the cluster IP that no Service has, IPv${family}`, async () => {
        const place = cluster.box.where(client);
        const to = endpoint(CLUSTER[family], 81);
        const tcp = await tcpClient(place, to, { count: 2 });
        expect(tcp.errors).toEqual({ ECONNREFUSED: 2 });
        expect(tcp.lastFailureMs).toBeLessThan(500);
        const udp = await udpClient(place, to, { count: 2, connected: true });
        expect(udp.errors).toEqual({ ECONNREFUSED: 2 });
      });
    }

  for (const family of FAMILIES) {
    it(`an unknown address of --service-cidrs is dropped, not sent on, IPv${family}`, async () => {
      const { box } = cluster;
      const drops = async () =>
        (await cluster.shunt<{ drops: Record<string, number> }>('node1', ['status'])).drops
          .unknown_service_ip ?? 0;
      const before = await drops();
      const capture = await startCapture(box.switch, {
        device: 'p-node1',
        filter: `host ${UNKNOWN[family]}`,
      });
      for (const client of ['a1', 'node1']) {
        const to = endpoint(UNKNOWN[family], 80);
        const tcp = await tcpClient(box.where(client), to, { count: 1, timeoutMs: 400 });
        expect(tcp.errors, client).toEqual({ ETIMEDOUT: 1 });
      }
      expect((await capture.stop()).packets).toHaveLength(0);
      const outside = await tcpClient(box.outside, endpoint(UNKNOWN[family], 80), { timeoutMs: 400 });
      expect(outside.errors).toEqual({ ETIMEDOUT: 1 });
      expect(await drops()).toBeGreaterThanOrEqual(before + 3);
    });

    it(`other ports of load-balancer and external IPs are left alone, IPv${family}`, async () => {
      const { box } = cluster;
      for (const ip of [LOAD_BALANCER[family], EXTERNAL[family]]) {
        const filter = `host ${ip} and tcp port 81`;
        const capture = await startCapture(box.switch, { device: 'p-node1', filter });
        await tcpClient(box.pod('a1'), endpoint(ip, 81), { timeoutMs: 300 });
        const { packets } = await capture.stop();
        // It left the node by the default route, as it would without Shunt.
        expect(packets.length, ip).toBeGreaterThan(0);
      }
    });
  }

  it('no ping is answered after a scale to zero; it is again when somebody serves', async () => {
    cluster.apply('20-services', service([]).objects);
    for (const client of CLIENTS)
      for (const family of FAMILIES)
        for (const ip of [CLUSTER[family], LOAD_BALANCER[family], EXTERNAL[family]])
          await eventually(`${client} not to be answered by ${ip}`, async () => {
            const { error } = await puppet(client).ping(ip, { ms: 100 });
            return error !== undefined;
          });
    const refused = await tcpClient(cluster.box.outside, endpoint(LOAD_BALANCER[4], 80));
    expect(refused.errors).toEqual({ ECONNREFUSED: 1 });
    cluster.apply('20-services', service(['b1']).objects);
    for (const ip of [...Object.values(CLUSTER), ...Object.values(LOAD_BALANCER)])
      await eventually(`${ip} to answer`, async () => !(await puppet('outside').ping(ip, { ms: 100 })).error);
  });

  it('an address that an interface of the node owns is answered by its owner', async () => {
    const node = cluster.box.node('node1');
    for (const family of FAMILIES) {
      const ip = LOAD_BALANCER[family];
      const argv = ['ip', 'addr', 'add', `${ip}/${family === 4 ? 32 : 128}`, 'dev', 'lo'];
      await cluster.box.exec(node, argv);
    }
    cluster.apply('20-services', service([]).objects);
    await cluster.box.exec(node, ['sleep', '0.3']);
    for (const family of FAMILIES) {
      const ip = LOAD_BALANCER[family];
      expect(await puppet('outside').ping(ip)).toEqual({ from: ip });
    }
  });
});
