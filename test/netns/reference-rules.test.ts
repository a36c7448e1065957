import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  connectSteadily,
  endpoint,
  holdConnections,
  sendSteadily,
  tcpClient,
  udpClient,
} from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { type KubeObject, type ServiceSpec, serviceObject, sliceObject } from '../support/cluster/objects.js';
import { addressOf, FAMILIES } from '../support/cluster/standard.js';

const IPS = ['10.96.20.1', 'fd00:96::20:1'];
const BALANCED = { 4: '192.0.2.20', 6: '2001:db8::20' };
const PORTS = [
  { name: 'http', port: 80, targetPort: 8080 },
  { name: 'dns', protocol: 'UDP' as const, port: 53, targetPort: 9000 },
];
const TARGETS = [
  { name: 'http', port: 8080 },
  { name: 'dns', protocol: 'UDP', port: 9000 },
];

describe('rules that kube-proxy’s own end-to-end tests show (SEMANTICS 1, 2, 3, 6)', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start();
    const { ipv4, ipv6 } = cluster.box.node('node1');
    await cluster.box.exec('outside', ['ip', 'route', 'add', '192.0.2.0/24', 'via', ipv4]);
    await cluster.box.exec('outside', ['ip', '-6', 'route', 'add', '2001:db8::/32', 'via', ipv6]);
  });
  afterAll(() => cluster?.close());

  function service(o: Partial<ServiceSpec> = {}): KubeObject {
    return serviceObject({ name: 'web', clusterIPs: IPS, ports: PORTS, ...o });
  }

  /** One slice of each family for these pods. */
  function slices(pods: string[], o: { name?: string; state?: object } = {}): KubeObject[] {
    return FAMILIES.map((family) => {
      const endpoints = pods.map((name) => {
        const pod = cluster.box.pod(name);
        return { ip: addressOf(pod, family), node: pod.node, ...o.state };
      });
      return sliceObject('web', endpoints, TARGETS, { family, name: `${o.name ?? 'web'}-${family}` });
    });
  }

  /** Who answers 20 connections and 20 datagrams of new sockets; or the one error that there is. */
  async function ask(from: string, ips: readonly string[], ports: { tcp: number; udp: number }) {
    const seen = new Set<string>();
    for (const ip of ips) {
      const place = cluster.box.where(from);
      const limits = { count: 20, timeoutMs: 1000 };
      for (const report of [
        await tcpClient(place, endpoint(ip, ports.tcp), limits),
        await udpClient(place, endpoint(ip, ports.udp), { ...limits, connected: true }),
      ])
        for (const what of [...Object.keys(report.byServer), ...Object.keys(report.errors)]) seen.add(what);
    }
    return [...seen].sort();
  }

  const clusterIp = () => ask('a1', IPS, { tcp: 80, udp: 53 });
  const nodePort = (tcp: number, udp: number) =>
    ask(
      'outside',
      FAMILIES.map((family) => addressOf(cluster.box.node('node1'), family)),
      { tcp, udp },
    );
  /** Whether the NodePort leads nowhere: the node itself answers, UDP not every time, since the kernel's ICMP is limited. */
  async function isNobodys(tcp: number, udp: number): Promise<boolean> {
    for (const family of FAMILIES) {
      const ip = addressOf(cluster.box.node('node1'), family);
      const connection = await tcpClient(cluster.box.outside, endpoint(ip, tcp), { count: 1 });
      const datagram = await udpClient(cluster.box.outside, endpoint(ip, udp), { count: 1, timeoutMs: 300 });
      if (connection.errors.ECONNREFUSED !== 1 || datagram.ok > 0) return false;
    }
    return true;
  }
  const balanced = () => ask('outside', Object.values(BALANCED), { tcp: 80, udp: 53 });

  async function becomes(what: string, check: () => Promise<string[]>, expected: string[]): Promise<void> {
    await eventually(
      what,
      async () => {
        expect(await check()).toEqual(expected);
        return true;
      },
      30_000,
    );
  }

  function apply(...objects: KubeObject[]): void {
    cluster.apply('20-web', objects);
  }

  it('a Service changes its type and its ports, TCP and UDP, and each change is served', async () => {
    const withPorts = (tcp: number, udp: number) =>
      PORTS.map((port, i) => ({ ...port, nodePort: i === 0 ? tcp : udp }));
    apply(service(), ...slices(['b1']));
    await becomes('the cluster IP', clusterIp, ['b1']);

    apply(service({ type: 'NodePort', ports: withPorts(31001, 31002) }), ...slices(['b1']));
    await becomes('the NodePort', () => nodePort(31001, 31002), ['b1']);

    apply(service({ type: 'NodePort', ports: withPorts(31003, 31004) }), ...slices(['b1']));
    await becomes('the new NodePort', () => nodePort(31003, 31004), ['b1']);
    expect(await isNobodys(31001, 31002)).toBe(true);

    apply(
      service({
        type: 'LoadBalancer',
        ports: withPorts(31003, 31004),
        loadBalancerIPs: Object.values(BALANCED),
      }),
      ...slices(['b1']),
    );
    await becomes('the load balancer', balanced, ['b1']);
    expect(await nodePort(31003, 31004)).toEqual(['b1']);

    // allocateLoadBalancerNodePorts: false
    apply(service({ type: 'LoadBalancer', loadBalancerIPs: Object.values(BALANCED) }), ...slices(['b1']));
    await eventually('the end of the NodePort', () => isNobodys(31003, 31004));
    expect(await balanced()).toEqual(['b1']);

    apply(service(), ...slices(['b1']));
    await becomes('the cluster IP alone', clusterIp, ['b1']);
    const { name } = service().metadata;
    const external = { ...service(), spec: { type: 'ExternalName', externalName: 'db.example.com' } };
    apply(external, ...slices(['b1']));
    await eventually('the end of all frontends', async () => {
      const rows = await cluster.shunt<{ name: string }[]>('node1', ['services']);
      return rows.every((row) => row.name !== name);
    });
    apply(service(), ...slices(['b1']));
    await becomes('the cluster IP again', clusterIp, ['b1']);
  });

  it('a Service that names another proxy is left to it, and comes back without the label', async () => {
    const label = 'service.kubernetes.io/service-proxy-name';
    apply(service({ labels: { [label]: 'other' } }), ...slices(['b1']));
    await eventually('its frontends to go', async () => {
      const rows = await cluster.shunt<{ name: string }[]>('node1', ['services']);
      return rows.every(({ name }) => name !== 'web');
    });
    apply(service({ labels: { [label]: '' } }), ...slices(['b1']));
    apply(service(), ...slices(['b1']));
    await becomes('the Service', clusterIp, ['b1']);
  });

  it('endpoints of several slices serve together', async () => {
    apply(service(), ...slices(['a2'], { name: 'one' }), ...slices(['b1', 'b2'], { name: 'two' }));
    await becomes('all three', clusterIp, ['a2', 'b1', 'b2']);
  });

  it('unready endpoints are refused, and serve once they are ready', async () => {
    apply(service(), ...slices(['b1'], { state: { ready: false } }));
    await becomes('the refusal', clusterIp, ['ECONNREFUSED']);
    apply(service(), ...slices(['b1']));
    await becomes('b1', clusterIp, ['b1']);
  });

  it('terminating endpoints serve while nobody else does, and no longer', async () => {
    const draining = { ready: false, serving: true, terminating: true };
    apply(service(), ...slices(['b1'], { state: draining }));
    await becomes('b1', clusterIp, ['b1']);
    apply(service(), ...slices(['b1'], { name: 'old', state: draining }), ...slices(['b2'], { name: 'new' }));
    await becomes('b2', clusterIp, ['b2']);
  });

  it.each([
    { policy: 'Cluster', order: ['a2', 'b1', 'b2', 'a2'] },
    { policy: 'Local', order: ['a2', 'a1', 'a2'] },
  ] as const)(
    'a rolling update disturbs nobody, policy $policy: no connection fails, no datagram is lost',
    async ({ policy, order }) => {
      const { box } = cluster;
      const ports = PORTS.map((port, i) => ({ ...port, nodePort: i === 0 ? 31005 : 31006 }));
      const rolled = service({ type: 'NodePort', ports, externalTrafficPolicy: policy });
      apply(rolled, ...slices(['a2']));
      await becomes('a2', () => nodePort(31005, 31006), ['a2']);
      const seconds = 60;
      const node1 = box.node('node1');
      const [four, six] = IPS as [string, string];
      const outside = [
        connectSteadily(box.outside, endpoint(node1.ipv6, 31005), { seconds }),
        sendSteadily(box.outside, endpoint(node1.ipv4, 31006), { seconds }),
      ];
      // Policy Local has pods of node1 alone, one of which is the client of the others.
      const inside = () => [
        connectSteadily(box.pod('a1'), endpoint(four, 80), { seconds }),
        connectSteadily(node1, endpoint(six, 80), { seconds }),
        sendSteadily(box.pod('a1'), endpoint(six, 53), { seconds }),
      ];
      const loads = await Promise.all([...outside, ...(policy === 'Cluster' ? inside() : [])]);
      const draining = { ready: false, serving: true, terminating: true };
      for (let i = 1; i < order.length; i++) {
        const [old, next] = [order[i - 1] as string, order[i] as string];
        const fresh = slices([next], { name: `web-${i}` });
        apply(rolled, ...slices([old], { name: `web-${i - 1}` }), ...fresh);
        await becomes('both', () => nodePort(31005, 31006), [old, next].sort());
        // UDP flows may stay with a backend that still serves, and by now every client port has one.
        apply(rolled, ...slices([old], { name: `web-${i - 1}`, state: draining }), ...fresh);
        await eventually(`only ${next} to get connections`, async () => {
          const report = await tcpClient(box.outside, endpoint(node1.ipv4, 31005), { count: 20 });
          return report.ok === 20 && report.byServer[next] === 20;
        });
        apply(rolled, ...fresh);
        await becomes(next, () => nodePort(31005, 31006), [next]);
      }
      for (const load of loads) {
        const report = await load.stop();
        expect(report).toMatchObject({ failed: 0, errors: {} });
        expect(Object.keys(report.byServer).sort()).toEqual([...new Set(order)].sort());
      }
    },
  );

  it('a process of the node that listens on the number of a NodePort loses it', async () => {
    const ports = PORTS.map((port, i) => ({ ...port, nodePort: i === 0 ? 31007 : 31008 }));
    const listener = await cluster.box.serve('node1', { name: 'listener', http: [31007], udp: [31008] });
    expect(await nodePort(31007, 31008)).toEqual(['listener']);
    apply(service({ type: 'NodePort', ports }), ...slices(['b1']));
    await becomes('the NodePort', () => nodePort(31007, 31008), ['b1']);
    for (const port of ['31007/TCP', '31008/UDP'])
      await eventually(`a report of ${port}`, () =>
        cluster.agent('node1').log.includes(`serve node port ${port}: a process of this node listens on`),
      );
    expect(cluster.agent('node2').log).not.toContain('serve node port 3100');
    apply(service(), ...slices(['b1']));
    await becomes('the listener again', () => nodePort(31007, 31008), ['listener']);
    await listener.stop();
  });

  it('session affinity is switched on and off', async () => {
    const perPort = async (ip: string) => {
      const { byServer } = await tcpClient(cluster.box.pod('a1'), endpoint(ip, 80), { count: 30 });
      return Object.keys(byServer).length;
    };
    apply(service(), ...slices(['a2', 'b1', 'b2']));
    await becomes('all three', clusterIp, ['a2', 'b1', 'b2']);
    apply(service({ affinitySeconds: 60 }), ...slices(['a2', 'b1', 'b2']));
    await eventually('one backend for a client', async () => (await perPort(IPS[0] as string)) === 1);
    expect(await perPort(IPS[1] as string)).toBe(1);
    apply(service(), ...slices(['a2', 'b1', 'b2']));
    await becomes('all three', clusterIp, ['a2', 'b1', 'b2']);
  });

  it('a change of externalTrafficPolicy is followed by new connections, held ones go on', async () => {
    const { box } = cluster;
    const ports = PORTS.map((port, i) => ({ ...port, nodePort: i === 0 ? 31009 : 31010 }));
    const of = (externalTrafficPolicy: 'Cluster' | 'Local') =>
      apply(service({ type: 'NodePort', ports, externalTrafficPolicy }), ...slices(['b1']));
    const through = async (node: string) => {
      const { ipv4 } = box.node(node);
      const report = await tcpClient(box.outside, endpoint(ipv4, 31009), { count: 1, timeoutMs: 500 });
      return [...Object.keys(report.peers), ...Object.keys(report.errors)].join();
    };
    const [node1, client] = [box.node('node1').ipv4, box.outside.ipv4];
    of('Cluster');
    await becomes('the NodePort', () => nodePort(31009, 31010), ['b1']);
    expect([await through('node1'), await through('node2')]).toEqual([node1, client]);
    const held = await holdConnections(box.outside, endpoint(node1, 31009), { count: 5, seconds: 60 });
    of('Local');
    await eventually(
      'silence of the node without endpoint',
      async () => (await through('node1')) === 'ETIMEDOUT',
    );
    expect(await through('node2')).toBe(client);
    of('Cluster');
    await eventually('the way over node1', async () => (await through('node1')) === node1);
    const report = await held.stop();
    expect(report).toMatchObject({ failed: 0, errors: {}, alive: 5 });
  });

  it('internalTrafficPolicy Local leads to a server in the network of the node, from that node only', async () => {
    const server = await cluster.box.serve('node1', { name: 'host', http: [8080], udp: [9000] });
    const endpoints = FAMILIES.map((family) =>
      sliceObject('web', [{ ip: addressOf(cluster.box.node('node1'), family), node: 'node1' }], TARGETS, {
        family,
      }),
    );
    apply(service({ internalTrafficPolicy: 'Local' }), ...endpoints);
    await becomes('the server', clusterIp, ['host']);
    expect(await ask('node1', IPS, { tcp: 80, udp: 53 })).toEqual(['host']);
    const far = await tcpClient(cluster.box.pod('b2'), endpoint(IPS[0] as string, 80), {
      count: 1,
      timeoutMs: 700,
    });
    expect(far.errors).toEqual({ ETIMEDOUT: 1 });
    await server.stop();
  });
});
