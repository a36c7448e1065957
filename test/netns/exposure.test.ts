import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, startCapture, tcpClient, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import type { KubeObject } from '../support/cluster/objects.js';
import { addressOf, FAMILIES, standardService } from '../support/cluster/standard.js';
import { routeToNode } from '../support/netns/routes.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };
const ALLOWED = { 4: '198.51.100.1', 6: '2001:db8:2::1' };
const ELSEWHERE = { 4: '198.51.100.201', 6: '2001:db8:3::1' };

/** What the operator may close beyond kube-proxy: where external IPs may lie, and who may use NodePorts. */
describe('--external-ip-cidrs and --source-ranges-on-node-ports', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({
      agentArgs: ['--external-ip-cidrs=198.51.100.0/25,2001:db8:2::/64', '--source-ranges-on-node-ports'],
    });
    const { box } = cluster;
    await routeToNode(box, 'node1');
    const external = standardService(box, {
      name: 'external',
      number: 1,
      pods: ['a2'],
      externalIPs: [...Object.values(ALLOWED), ...Object.values(ELSEWHERE)],
    });
    const guarded = standardService(box, {
      name: 'guarded',
      number: 2,
      pods: ['a2', 'b1'],
      loadBalancerIPs: ['192.0.2.2', '2001:db8:1::2'],
      nodePorts: NODE_PORT,
    });
    const { spec } = guarded.objects[0] as KubeObject & { spec: Record<string, unknown> };
    const [v4, v6] = [box.outside.addresses4[1], box.outside.addresses6[1]];
    spec.loadBalancerSourceRanges = [`${v4}/32`, `${v6}/128`];
    cluster.apply('20-services', [...external.objects, ...guarded.objects]);
    for (const number of [1, 2]) await cluster.reachable('a1', endpoint(`10.96.1.${number}`, 80));
    await cluster.reachable('outside', endpoint(ALLOWED[4], 80));
  });
  afterAll(() => cluster?.close());

  for (const family of FAMILIES) {
    it(`serves external IPs inside the list and no others, IPv${family}`, async () => {
      const { box } = cluster;
      for (const from of ['outside', 'a1', 'node1']) {
        const { ok } = await tcpClient(box.where(from), endpoint(ALLOWED[family], 80), { count: 3 });
        expect(ok, from).toBe(3);
      }
      const filter = `host ${ELSEWHERE[family]}`;
      const capture = await startCapture(box.switch, { device: 'p-node1', filter });
      await tcpClient(box.pod('a1'), endpoint(ELSEWHERE[family], 80), { timeoutMs: 300 });
      // It goes where routing sends it: none of our business.
      expect((await capture.stop()).packets.length).toBeGreaterThan(0);
      expect(cluster.agent('node1').log).toContain(`${ELSEWHERE[family]} is not in the allowed external IPs`);
    });

    it(`guards NodePorts by the source ranges of the Service, TCP and UDP, IPv${family}`, async () => {
      const { box } = cluster;
      const { outside } = box;
      const [denied, allowed] = family === 4 ? outside.addresses4 : outside.addresses6;
      const visit = async (from: string, source?: string) => {
        const o = { count: 1, timeoutMs: 400, ...(source === undefined ? {} : { source }) };
        const ip = addressOf(box.node('node1'), family);
        const tcp = await tcpClient(box.where(from), endpoint(ip, NODE_PORT.tcp), o);
        const udp = await udpClient(box.where(from), endpoint(ip, NODE_PORT.udp), o);
        return [tcp.ok, udp.ok];
      };
      expect(await visit('outside', allowed)).toEqual([1, 1]);
      expect(await visit('outside', denied)).toEqual([0, 0]);
      expect(await visit('a1')).toEqual([0, 0]);
      // The cluster IP is never guarded.
      const clusterIp = endpoint(family === 4 ? '10.96.1.2' : 'fd00:96::1:2', 80);
      expect((await tcpClient(box.pod('a1'), clusterIp, { count: 1 })).ok).toBe(1);
    });
  }
});
