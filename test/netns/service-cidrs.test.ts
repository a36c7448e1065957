import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Place, startCapture, tcpClient } from '../../box/index.js';
import { BoxApi } from '../support/cluster/api.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import type { KubeObject } from '../support/cluster/objects.js';
import { standardService } from '../support/cluster/standard.js';
import { routeToNode } from '../support/netns/routes.js';

const FAMILIES = [4, 6] as const;
/** In the ranges of the objects below, and nobody's. */
const UNKNOWN = { 4: '10.96.200.200', 6: 'fd00:96::c8c8' };
const FOREIGN = { 4: '10.96.200.201', 6: 'fd00:96::c8c9' };

const serviceCidr = (name: string, ...cidrs: string[]): KubeObject => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  metadata: { name },
  spec: { cidrs },
});

const endpoint = (ip: string, port: number) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

describe('ranges learned from ServiceCIDR objects', () => {
  let cluster: Cluster;
  let api: BoxApi;
  beforeAll(async () => {
    cluster = await Cluster.start({ agentless: true });
    await routeToNode(cluster.box, 'node1');
    api = await BoxApi.start(cluster.box);
    const web = standardService(cluster.box, { name: 'web', number: 1, pods: ['a2', 'b1'] });
    await api.put(...Cluster.nodeObjects(cluster.box), ...web.objects);
    await cluster.startAgent('node1', ['--kubeconfig', api.kubeconfig, '--replace-kube-proxy']);
    for (const family of FAMILIES) await cluster.reachable('a1', web.tcp[family]);
  });
  afterAll(() => cluster?.close());

  /** Packets that left the node for this address when somebody tried it. */
  async function leaves(from: Place, ip: string): Promise<number> {
    const capture = await startCapture(cluster.box.switch, { device: 'p-node1', filter: `host ${ip}` });
    await tcpClient(from, endpoint(ip, 80), { count: 1, timeoutMs: 300 });
    return (await capture.stop()).packets.length;
  }

  const drops = async (): Promise<number> =>
    (await cluster.shunt<{ drops: Record<string, number> }>('node1', ['status'])).drops.unknown_service_ip ??
    0;

  /** An address is dropped where pods and the node meet it: nothing of it leaves, and it is counted. */
  async function isDropped(ip: string): Promise<boolean> {
    const before = await drops();
    const { box } = cluster;
    for (const from of [box.pod('a1'), box.node('node1')]) if ((await leaves(from, ip)) > 0) return false;
    return (await drops()) >= before + 2;
  }

  it('before there are any, an unknown address goes where routing sends it', async () => {
    for (const family of FAMILIES)
      expect(await leaves(cluster.box.pod('a1'), UNKNOWN[family])).toBeGreaterThan(0);
  });

  it('an unknown address is dropped as soon as an object has it, without a restart', async () => {
    await api.put(serviceCidr('kubernetes', '10.96.0.0/16', 'fd00:96::/64'));
    for (const family of FAMILIES)
      await eventually(`${UNKNOWN[family]} to be dropped`, () => isDropped(UNKNOWN[family]));
    const outside = await tcpClient(cluster.box.outside, endpoint(UNKNOWN[4], 80), { timeoutMs: 300 });
    expect(outside.errors).toEqual({ ETIMEDOUT: 1 });
  });

  it('the cluster IPs of Services go on', async () => {
    const web = standardService(cluster.box, { name: 'web', number: 1, pods: ['a2', 'b1'] });
    for (const family of FAMILIES) {
      const { errors } = await tcpClient(cluster.box.pod('a1'), web.tcp[family], { count: 5 });
      expect(errors).toEqual({});
    }
  });

  it('Services of a second range are served, its other addresses dropped', async () => {
    const second = { 4: '10.97.0.9', 6: 'fd00:97::9' };
    const { objects } = standardService(cluster.box, { name: 'second', number: 2, pods: ['a2', 'b1'] });
    const spec = (objects[0] as KubeObject).spec as Record<string, unknown>;
    Object.assign(spec, { clusterIP: second[4], clusterIPs: Object.values(second) });
    await api.put(serviceCidr('second', '10.97.0.0/24', 'fd00:97::/112'), ...objects);
    for (const family of FAMILIES) {
      await cluster.reachable('a1', endpoint(second[family], 80));
      const { byServer } = await tcpClient(cluster.box.pod('a1'), endpoint(second[family], 80), {
        count: 30,
      });
      expect(Object.keys(byServer).sort()).toEqual(['a2', 'b1']);
    }
    expect(await isDropped('10.97.0.10')).toBe(true);
    await api.delete(serviceCidr('second'), ...objects);
    await eventually('10.97.0.10 to leave', async () => {
      return (await leaves(cluster.box.pod('a1'), '10.97.0.10')) > 0;
    });
  });

  it('an address of a Service that names another proxy is left to that one', async () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'theirs', labels: { 'service.kubernetes.io/service-proxy-name': 'other' } },
      spec: {
        type: 'ClusterIP',
        clusterIP: FOREIGN[4],
        clusterIPs: [FOREIGN[4], FOREIGN[6]],
        ipFamilies: ['IPv4', 'IPv6'],
        ports: [{ port: 80 }],
      },
    };
    for (const family of FAMILIES) expect(await isDropped(FOREIGN[family])).toBe(true);
    await api.put(service);
    for (const family of FAMILIES)
      await eventually(`${FOREIGN[family]} to leave`, async () => {
        return (await leaves(cluster.box.pod('a1'), FOREIGN[family])) > 0;
      });
    await api.delete(service);
    for (const family of FAMILIES)
      await eventually(`${FOREIGN[family]} to be dropped`, () => isDropped(FOREIGN[family]));
  });

  it('another range takes the place of the first, and the last one goes', async () => {
    await api.put(serviceCidr('kubernetes', '10.96.0.0/17', 'fd00:96::/64'));
    await eventually(`${UNKNOWN[4]} to leave`, async () => {
      return (await leaves(cluster.box.pod('a1'), UNKNOWN[4])) > 0;
    });
    expect(await isDropped(UNKNOWN[6])).toBe(true);
    await api.delete(serviceCidr('kubernetes'));
    await eventually(`${UNKNOWN[6]} to leave`, async () => {
      return (await leaves(cluster.box.pod('a1'), UNKNOWN[6])) > 0;
    });
  });
});

it('beside another proxy a range drops nothing: most of its addresses are that one’s', async () => {
  await using cluster = await Cluster.start({ agentless: true, servers: false });
  const nodes = [...Cluster.nodeObjects(cluster.box), serviceCidr('kubernetes', '10.96.0.0/16')];
  cluster.apply('00-nodes', nodes);
  const flags = ['--manifests', cluster.manifests, '--service-cidrs=10.96.0.0/16,fd00:96::/64'];
  await cluster.startAgent('node1', flags);
  for (const family of FAMILIES) {
    const filter = `host ${UNKNOWN[family]}`;
    const capture = await startCapture(cluster.box.switch, { device: 'p-node1', filter });
    await tcpClient(cluster.box.pod('a1'), endpoint(UNKNOWN[family], 80), { count: 1, timeoutMs: 300 });
    expect((await capture.stop()).packets.length).toBeGreaterThan(0);
  }
});
