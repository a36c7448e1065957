import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/cluster/cluster.js';
import { CLIENTS, EXAMPLES, ExampleCluster, type NodeName } from '../support/cluster/examples.js';
import { askByHost, readHostRules, startController } from '../support/cluster/ingress.js';
import { FAMILIES, type Family } from '../support/cluster/standard.js';

// The Services of examples/ as they are written there, with real servers and real clients. An answer names the pod
// and the port that gave it.

const CONTROLLERS = ['ingress-nginx-controller-1', 'ingress-nginx-controller-2'];
const NODES = ['node1', 'node2'] as const satisfies NodeName[];
const SILENCE = { servers: [], errors: ['ETIMEDOUT'] };
const REFUSAL = { servers: [], errors: ['ECONNREFUSED'] };

describe('the reference list (SEMANTICS 9)', () => {
  let cluster: ExampleCluster;

  beforeAll(async () => {
    cluster = await ExampleCluster.start({ without: ['  name: coffee01'], serverless: CONTROLLERS });
  });
  afterAll(() => cluster?.close());

  /** From a pod of either node to the cluster IP; the pod's address is kept. */
  async function fromPods(ips: Record<Family, string>, port: number, servers: string[], udp = false) {
    for (const family of FAMILIES)
      for (const node of NODES) {
        const seen = await cluster.visit(CLIENTS[node], ips[family], port, udp ? { protocol: 'UDP' } : {});
        expect(seen, `${node} IPv${family}`).toEqual({
          servers,
          sources: [cluster.clientAddress(node, family)],
          errors: [],
        });
      }
  }

  /** From outside to the NodePort of either node. */
  async function fromOutside(nodePort: number, servers: string[]) {
    for (const family of FAMILIES)
      for (const node of NODES) {
        const seen = await cluster.visit('outside', cluster.address(node, family), nodePort);
        expect(seen, `${node} IPv${family}`).toMatchObject({ servers, errors: [] });
      }
  }

  it('1. abcdocker/mallh5-service: port 3017 and NodePort 31122 lead to 5003', async () => {
    const servers = ['mallh5web-1:5003', 'mallh5web-2:5003'];
    await fromPods({ 4: '10.96.1.1', 6: 'fd00:96::101' }, 3017, servers);
    await fromOutside(31122, servers);
  });

  it('2. myserver: a named target port; once more as NodePort 30001', async () => {
    await fromPods({ 4: '10.96.2.1', 6: 'fd00:96::201' }, 80, ['myserver-1:80', 'myserver-2:80']);
    await fromOutside(30001, ['myserver-1:80', 'myserver-2:80']);
  });

  it('3. coffee: an exposed pod on NodePort 30391; coffee01 joins and shares the traffic', async () => {
    await fromOutside(30391, ['coffee:9090']);
    await fromPods({ 4: '10.96.3.1', 6: 'fd00:96::301' }, 80, ['coffee:9090']);
    cluster.restore('03-coffee.yaml');
    const both = ['coffee01:9090', 'coffee:9090'];
    for (const node of NODES)
      for (const family of FAMILIES)
        await eventually(`coffee01 to be known to ${node}`, async () => {
          const seen = await cluster.visit(CLIENTS[node], family === 4 ? '10.96.3.1' : 'fd00:96::301', 80);
          return seen.servers.includes('coffee01:9090');
        });
    await fromOutside(30391, both);
    await fromPods({ 4: '10.96.3.1', 6: 'fd00:96::301' }, 80, both);
  });

  it('4. nginx: a cluster IP, 80 to 80; from pods and from the node itself', async () => {
    const servers = ['nginx-1:80', 'nginx-2:80'];
    await fromPods({ 4: '10.96.4.1', 6: 'fd00:96::401' }, 80, servers);
    for (const node of NODES)
      for (const ip of ['10.96.4.1', 'fd00:96::401'])
        expect(await cluster.visit(node, ip, 80)).toMatchObject({ servers, errors: [] });
  });

  it('5. my-service: http 80 leads to 9376, https 443 to 9377', async () => {
    const ips = { 4: '10.96.5.1', 6: 'fd00:96::501' };
    await fromPods(ips, 80, ['my-app-1:9376', 'my-app-2:9376']);
    await fromPods(ips, 443, ['my-app-1:9377', 'my-app-2:9377']);
    expect(await cluster.visit('client1', ips[4], 444)).toMatchObject(REFUSAL);
  });

  it('6. a Service without selector leads to the outside address of its Endpoints', async () => {
    for (const from of ['client1', 'client2', 'node1', 'node2'])
      expect(await cluster.visit(from, '10.96.6.1', 80), from).toMatchObject({
        servers: ['outside:9376'],
        errors: [],
      });
  });

  it('7. ExternalName and headless: nothing programmed, no noise, the pod reached directly', async () => {
    for (const node of NODES) {
      const services = await cluster.services(node);
      expect(services.filter(({ namespace }) => namespace === 'prod')).toEqual([]);
      const log = cluster.agents.get(node)?.log ?? '';
      expect(log).not.toMatch(/prod\/|my\.database\.example\.com/);
      expect(log).not.toMatch(/"level":"?(40|50|60|warn|error|fatal)\b/);
    }
    // What DNS answers for the headless Service.
    for (const ip of ['10.244.1.17', 'fd00:244:1::17'])
      expect(await cluster.visit('client2', ip, 80)).toMatchObject({ servers: ['nginx-0:80'], errors: [] });
  });

  it('8. internalTrafficPolicy Local: reached from the node with the pod only', async () => {
    for (const [family, ip] of [
      [4, '10.96.8.1'],
      [6, 'fd00:96::801'],
    ] as const) {
      for (const from of ['client2', 'node2'])
        expect(await cluster.visit(from, ip, 80), from).toMatchObject({
          servers: ['my-app-1:9376'],
          errors: [],
        });
      for (const from of ['client1', 'node1'])
        expect(await cluster.visit(from, ip, 80, { expect: 'nothing' }), `${from} ${family}`).toMatchObject(
          SILENCE,
        );
    }
    const { drops } = await cluster.shunt<{ drops: Record<string, number> }>('node1', ['status']);
    expect(drops.no_local_backend).toBeGreaterThan(0);
  });

  it('9. a LoadBalancer answers on 10.0.171.239, on 192.0.2.127 and on its NodePort', async () => {
    const servers = ['my-app-1:9376', 'my-app-2:9376'];
    await fromPods({ 4: '10.0.171.239', 6: 'fd00:96::901' }, 80, servers);
    for (const ip of ['192.0.2.127', '2001:db8::127'])
      for (const from of ['outside', 'client1', 'client2', 'node1', 'node2'])
        expect(await cluster.visit(from, ip, 80), from).toMatchObject({ servers, errors: [] });
    await fromOutside(30909, servers);
  });

  it('10. my-nginx: two pods of a Deployment behind port 80 and NodePort 30007', async () => {
    const servers = ['my-nginx-3800858182-jr4a2:80', 'my-nginx-3800858182-kna2y:80'];
    await fromPods({ 4: '10.96.10.1', 6: 'fd00:96::1001' }, 80, servers);
    await fromOutside(30007, servers);
  });

  it('11. affinity holds over all frontends; Local keeps the address and drops where no pod is', async () => {
    for (const family of FAMILIES) {
      const node1 = cluster.address('node1', family);
      const first = await cluster.visit('client1', family === 4 ? '10.96.11.1' : 'fd00:96::1101', 80);
      expect(first.servers).toHaveLength(1);
      // The same port of the same Service, by another of its frontends.
      expect(await cluster.visit('client1', node1, 30011)).toMatchObject({ servers: first.servers });
      expect((await cluster.visit('outside', node1, 30011)).servers).toHaveLength(1);

      const local = await cluster.visit('outside', cluster.address('node2', family), 30012);
      const source = cluster.address('outside', family);
      expect(local).toEqual({ servers: ['source-ip-app-1:8080'], sources: [source], errors: [] });
      const silent = await cluster.visit('outside', node1, 30012, { expect: 'nothing' });
      expect(silent).toMatchObject(SILENCE);
      // Pods of the cluster use the whole list.
      expect(await cluster.visit('client1', node1, 30012)).toMatchObject({ servers: local.servers });
    }
  });

  it('12. kube-dns on 53 of UDP and TCP; SCTP with a port that differs from its target', async () => {
    const servers = ['coredns-1:53', 'coredns-2:53'];
    const ips = { 4: '10.96.0.10', 6: 'fd00:96::a' };
    await fromPods(ips, 53, servers);
    await fromPods(ips, 53, servers, true);
    for (const family of FAMILIES)
      expect(await cluster.visit('node2', ips[family], 53, { protocol: 'UDP' })).toMatchObject({
        servers,
        errors: [],
      });
    const { paths } = await cluster.shunt<{ paths: Record<string, { packets: number }> }>('node2', [
      'status',
    ]);
    expect(paths.sock_sendmsg?.packets).toBeGreaterThan(0);
    // Packets of SCTP: test/packet. Sockets, which not every kernel has: test/kernel.
    for (const node of NODES) {
      const rows = (await cluster.services(node)).filter(({ name }) => name === 'sctp-service');
      const shown = rows.map(({ type, ip, port, protocol, backends }) => [
        `${type} ${ip} ${port}/${protocol}`,
        backends.map((b) => `${b.ip} ${b.port} ${b.usedFor.includes('internal')}`).sort(),
      ]);
      expect(Object.fromEntries(shown)).toEqual({
        'ClusterIP 10.96.12.1 9002/SCTP': ['10.244.1.22 9003 true', '10.244.2.24 9003 true'],
        'ClusterIP fd00:96::1201 9002/SCTP': ['fd00:244:1::22 9003 true', 'fd00:244:2::24 9003 true'],
      });
    }
  });

  describe('13. topology', () => {
    const CASES = ['only-this-node', 'prefer-this-node', 'only-this-zone-or-region', 'node-zone-region-any'];

    /** Who answers a pod of node1, by case; `-` is a refusal. */
    async function seen(family: Family): Promise<Record<string, string>> {
      const entries = CASES.map(async (name, i) => {
        const ip = family === 4 ? `10.96.13.${i + 1}` : `fd00:96::130${i + 1}`;
        const { servers, errors } = await cluster.visit('client1', ip, 80);
        return [name, [...servers, ...errors].join(' ').replaceAll('ECONNREFUSED', '-')];
      });
      return Object.fromEntries(await Promise.all(entries));
    }

    /** @param who answers each of the four cases. */
    async function becomes(...who: string[]): Promise<void> {
      const expected = Object.fromEntries(CASES.map((name, i) => [name, who[i]]));
      for (const family of FAMILIES) {
        await eventually(`IPv${family} to be as the topology says`, async () => {
          const now = await seen(family);
          expect(now).toEqual(expected);
          return true;
        });
      }
    }

    it('a pod on the node: all four use it', async () => {
      const here = 'topology-1:8080';
      await becomes(here, here, here, here);
    });

    it('none on the node: the first refuses, the others look further', async () => {
      cluster.remove('  name: topology-1');
      const there = 'topology-2:8080';
      await becomes('-', there, there, there);
      // The node itself is told so by its own socket.
      expect(await cluster.visit('node1', '10.96.13.1', 80)).toMatchObject(REFUSAL);
      const { paths } = await cluster.shunt<{ paths: Record<string, { packets: number }> }>('node1', [
        'status',
      ]);
      expect(paths.sock_refused?.packets).toBeGreaterThan(0);
    });

    it('none in the region: only those that end in * find one', async () => {
      cluster.edit('00-nodes.yaml', (text) => {
        const at = text.lastIndexOf('region-1');
        return `${text.slice(0, at)}region-2${text.slice(at + 8)}`;
      });
      const there = 'topology-2:8080';
      await becomes('-', there, '-', there);
    });
  });

  it('14. an ingress controller behind NodePort and LoadBalancer routes by host name', async () => {
    const { box } = cluster;
    const clusterIps: Record<string, string> = { foo: '10.96.14.3', bar: 'fd00:96::1404' };
    const rules = readHostRules(join(EXAMPLES, '14-ingress.yaml')).map((rule) => ({
      ...rule,
      clusterIp: clusterIps[rule.service] as string,
    }));
    expect(rules.map(({ host }) => host)).toEqual(['foo.bar.com', 'bar.foo.com']);
    await Promise.all(CONTROLLERS.map((name) => startController(box, cluster.boxName(name), name, rules)));
    const hosts = ['foo.bar.com', 'bar.foo.com', 'nobody.example.com'];
    const ways = FAMILIES.flatMap((family) => [
      ...NODES.map((node) => ['outside', cluster.address(node, family), 30080] as const),
      ['outside', cluster.address('node2', family), 30081] as const,
      ['outside', family === 4 ? '192.0.2.128' : '2001:db8::128', 80] as const,
      ['client1', family === 4 ? '192.0.2.128' : '2001:db8::128', 80] as const,
    ]);
    await Promise.all(
      ways.map(async ([from, ip, port]) => {
        const answers = await askByHost(box, from, { ip, port, count: 15 }, hosts);
        const served = (server: string) => ({ statuses: [200], servers: [server], controllers: CONTROLLERS });
        expect(answers, `${from} ${ip}:${port}`).toEqual({
          'foo.bar.com': served('foo-1:8080'),
          'bar.foo.com': served('bar-1:8080'),
          'nobody.example.com': { statuses: [404], servers: [], controllers: CONTROLLERS },
        });
      }),
    );
  });
});
