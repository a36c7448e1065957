import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, startCapture, tcpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import type { KubeObject } from '../support/cluster/objects.js';
import { addressOf, FAMILIES, type Family, standardService } from '../support/cluster/standard.js';
import { routeToNode } from '../support/netns/routes.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };
const external = (number: number, family: Family) =>
  family === 4 ? `198.51.100.${number}` : `2001:db8:2::${number}`;
const lb = (number: number, family: Family) => (family === 4 ? `192.0.2.${number}` : `2001:db8:1::${number}`);

describe('external IPs and addresses of load balancers (SEMANTICS 2)', () => {
  let cluster: Cluster;

  interface Spec {
    number: number;
    pods: string[];
    externalIPs?: string[];
    loadBalancerIPs?: string[];
    nodePorts?: typeof NODE_PORT;
    created?: string;
    change?: (service: { spec: Record<string, unknown>; status: Record<string, unknown> }) => void;
  }

  function service(s: Spec): KubeObject[] {
    const { number, created, change, ...rest } = s;
    const { objects } = standardService(cluster.box, { name: `ext${number}`, number, ...rest });
    const object = objects[0] as KubeObject;
    if (created) object.metadata.creationTimestamp = created;
    change?.(object as never);
    return objects;
  }

  beforeAll(async () => {
    cluster = await Cluster.start({ agentArgs: ['--service-cidrs=10.96.0.0/16,fd00:96::/64'] });
    const { box } = cluster;
    await routeToNode(box, 'node1');
    cluster.apply('20-services', [
      ...service({ number: 1, pods: ['a2'], externalIPs: [external(1, 4), external(1, 6)] }),
      // Inside the cluster: another Service's cluster IP, the range of cluster IPs, a pod, loopback.
      ...service({
        number: 2,
        pods: ['b1'],
        externalIPs: ['10.96.1.1', '10.96.200.1', box.pod('a1').ipv4, '127.0.0.9', 'fe80::9', external(2, 4)],
      }),
      // Both claim the same address: the older one keeps it, the younger has the others.
      ...service({
        number: 3,
        pods: ['b1'],
        externalIPs: [external(9, 4), external(9, 6), external(3, 4)],
        created: '2026-02-02T00:00:00Z',
      }),
      ...service({
        number: 4,
        pods: ['a2'],
        externalIPs: [external(9, 4), external(9, 6)],
        created: '2026-01-02T00:00:00Z',
      }),
      // ipMode: the Proxy entries are no frontends.
      ...service({
        number: 5,
        pods: ['a2'],
        loadBalancerIPs: [lb(5, 4)],
        nodePorts: NODE_PORT,
        change: ({ status }) => {
          status.loadBalancer = {
            ingress: [
              { ip: lb(5, 4), ipMode: 'VIP' },
              { ip: lb(6, 4), ipMode: 'Proxy' },
              { ip: lb(6, 6), ipMode: 'Proxy' },
              { hostname: 'lb.example.com' },
            ],
          };
        },
      }),
      // allocateLoadBalancerNodePorts: false leaves nodePort out.
      ...service({
        number: 7,
        pods: ['b1'],
        loadBalancerIPs: [lb(7, 4), lb(7, 6)],
        change: ({ spec }) => {
          spec.allocateLoadBalancerNodePorts = false;
        },
      }),
    ]);
    await cluster.reachable('a1', '10.96.1.7:80');
    await cluster.reachable('outside', endpoint(lb(7, 6), 80));
  });
  afterAll(() => cluster?.close());

  const server = async (from: string, ip: string, port = 80) => {
    const report = await tcpClient(cluster.box.where(from), endpoint(ip, port), { count: 3, timeoutMs: 400 });
    return report.ok === 3 ? Object.keys(report.byServer).join() : (Object.keys(report.errors)[0] as string);
  };

  for (const family of FAMILIES)
    for (const from of ['outside', 'a1', 'node1'])
      it(`an external IP is served on a Service of type ClusterIP, ${from}, IPv${family}`, async () => {
        expect(await server(from, external(1, family))).toBe('a2');
      });

  it('an address of the cluster is no external IP, whatever a Service says; the rest of its list counts', async () => {
    expect(await server('a2', '10.96.1.1')).toBe('a2'); // ext1's cluster IP stays its own
    expect(await server('a2', '10.96.200.1')).toBe('ETIMEDOUT');
    expect(await server('outside', external(2, 4))).toBe('b1');
    const { log } = cluster.agent('node1');
    for (const ip of ['10.96.1.1', '10.96.200.1', cluster.box.pod('a1').ipv4, '127.0.0.9', 'fe80::9'])
      expect(log).toContain(`${ip} is`);
  });

  it('of two Services with one address the older keeps it; the younger gets it when the older goes', async () => {
    for (const family of FAMILIES) expect(await server('outside', external(9, family))).toBe('a2');
    expect(await server('outside', external(3, 4))).toBe('b1');
    expect(cluster.agent('node1').log).toMatch(
      /default\/ext3.*198\.51\.100\.9|198\.51\.100\.9.*default\/ext3/,
    );
    const all = cluster.manifests;
    expect(all).toBeTruthy();
    cluster.apply(
      '30-contest',
      service({ number: 8, pods: ['b2'], externalIPs: [external(8, 4)], created: '2026-03-01T00:00:00Z' }),
    );
    cluster.apply(
      '31-contest',
      service({ number: 9, pods: ['a2'], externalIPs: [external(8, 4)], created: '2026-02-01T00:00:00Z' }),
    );
    await eventually('the older to have it', async () => (await server('outside', external(8, 4))) === 'a2');
    cluster.apply('31-contest', []);
    await eventually(
      'the younger to have it',
      async () => (await server('outside', external(8, 4))) === 'b2',
    );
    cluster.apply('30-contest', []);
  });

  it("ipMode Proxy: in-cluster traffic really goes to the load balancer, and the VIP next to it doesn't", async () => {
    expect(await server('a1', lb(5, 4))).toBe('a2');
    for (const family of FAMILIES) {
      const ip = lb(6, family);
      const capture = await startCapture(cluster.box.switch, { device: 'p-node1', filter: `host ${ip}` });
      expect(await server('a1', ip)).toBe('ETIMEDOUT');
      expect((await capture.stop()).packets.length).toBeGreaterThan(0);
    }
    expect(await server('outside', cluster.box.node('node1').ipv4, NODE_PORT.tcp)).toBe('a2');
  });

  it('allocateLoadBalancerNodePorts false: the load-balancer IP serves, no NodePort does', async () => {
    for (const family of FAMILIES) expect(await server('outside', lb(7, family))).toBe('b1');
    const frontends = await cluster.shunt<{ name: string; frontend: unknown }[]>('node1', ['services']);
    const text = frontends.filter((f) => JSON.stringify(f).includes('ext7')).map((f) => JSON.stringify(f));
    expect(text.length).toBeGreaterThan(0);
    expect(text.join('\n')).not.toMatch(/NodePort/);
  });

  it('an external IP that the node owns answers there as well', async () => {
    const node = cluster.box.node('node1');
    for (const family of FAMILIES) {
      const argv = ['ip', 'addr', 'add', `${external(1, family)}/${family === 4 ? 32 : 128}`, 'dev', 'lo'];
      await cluster.box.exec(node, argv);
    }
    for (const family of FAMILIES) {
      await eventually(
        'outside to be served',
        async () => (await server('outside', external(1, family))) === 'a2',
      );
      expect(await server('node1', external(1, family))).toBe('a2');
      expect(addressOf(cluster.box.pod('a2'), family)).toBeTruthy();
    }
  });
});
