import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AddressedPlace, endpoint, holdConnections, tcpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { serviceObject, sliceObject } from '../support/cluster/objects.js';
import { addressOf, FAMILIES, type Family } from '../support/cluster/standard.js';

const PORT = 9002;
const TARGET = 9003;
const NODE_PORTS = { both: 30_132, remote: 30_133 };

/** Associations that one source address carries: SCTP tells its peer all addresses of a socket that has none. */
const ONE_ADDRESS = (client: AddressedPlace, family: Family) => ({
  sctp: true,
  source: addressOf(client, family),
  timeoutMs: 10_000,
});

/** SCTP 9002 -> 9003, both families. */
function sctpService(cluster: Cluster, name: string, number: number, pods: string[], nodePort: number) {
  const ports = [{ name: 'sctp', protocol: 'SCTP' as const, port: TARGET }];
  const places = pods.map((pod) => cluster.box.pod(pod));
  return [
    serviceObject({
      name,
      type: 'NodePort',
      clusterIPs: [`10.96.1.${number}`, `fd00:96::1:${number}`],
      ports: [{ name: 'sctp', protocol: 'SCTP', port: PORT, targetPort: TARGET, nodePort }],
    }),
    ...FAMILIES.map((family) =>
      sliceObject(
        name,
        places.map((pod) => ({ ip: addressOf(pod, family), node: pod.node })),
        ports,
        { family },
      ),
    ),
  ];
}

const clusterIp = (number: number, family: Family) =>
  endpoint(family === 4 ? `10.96.1.${number}` : `fd00:96::1:${number}`, PORT);

// With offload the CRC of a packet is 0 on the way between veths, without it the sender's own.
describe.each(['on', 'off'] as const)('real SCTP sockets, tx offload %s (SEMANTICS 9, 12)', (txOffload) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({ box: { txOffload }, servers: false });
    const { box } = cluster;
    await Promise.all(
      ['a2', 'b1', 'b2'].flatMap((pod) =>
        FAMILIES.map((family) =>
          box.serve(pod, { http: [], udp: [], sctp: [TARGET], bind: addressOf(box.pod(pod), family) }),
        ),
      ),
    );
    cluster.apply('20-services', [
      ...sctpService(cluster, 'both', 1, ['a2', 'b1'], NODE_PORTS.both),
      ...sctpService(cluster, 'remote', 2, ['b1', 'b2'], NODE_PORTS.remote),
    ]);
    for (const node of ['node1', 'node2']) {
      const to = endpoint(box.node(node).ipv6, NODE_PORTS.remote);
      await eventually(
        `${to} to answer`,
        async () =>
          (await tcpClient(box.outside, to, { ...ONE_ADDRESS(box.outside, 6), timeoutMs: 1000 })).ok,
        30_000,
      );
    }
  });
  afterAll(() => cluster?.close());

  for (const family of FAMILIES) {
    it(`a pod reaches backends on both nodes through the cluster IP, IPv${family}`, async () => {
      const client = cluster.box.pod('a1');
      const to = clusterIp(1, family);
      const report = await tcpClient(client, to, { ...ONE_ADDRESS(client, family), count: 40 });
      expect(report).toMatchObject({ ok: 40, failed: 0, peerName: { [to]: 40 } });
      expect(Object.keys(report.byServer).sort()).toEqual(['a2', 'b1']);
      expect(report.peers).toEqual({ [addressOf(client, family)]: 40 });
    });

    it(`outside reaches a backend on another node through the NodePort, from the node's address, IPv${family}`, async () => {
      const { box } = cluster;
      const node1 = addressOf(box.node('node1'), family);
      const to = endpoint(node1, NODE_PORTS.remote);
      const report = await tcpClient(box.outside, to, { ...ONE_ADDRESS(box.outside, family), count: 40 });
      expect(report).toMatchObject({ ok: 40, failed: 0, peers: { [node1]: 40 }, peerName: { [to]: 40 } });
      expect(Object.keys(report.byServer).sort()).toEqual(['b1', 'b2']);
    });

    it(`outside reaches a backend on the node itself with its own address, IPv${family}`, async () => {
      const { box } = cluster;
      const to = endpoint(addressOf(box.node('node2'), family), NODE_PORTS.remote);
      const report = await tcpClient(box.outside, to, { ...ONE_ADDRESS(box.outside, family), count: 20 });
      expect(report).toMatchObject({ ok: 20, failed: 0, peers: { [addressOf(box.outside, family)]: 20 } });
    });

    it(`an association through a NodePort with SNAT goes on, IPv${family}`, async () => {
      const { box } = cluster;
      const to = endpoint(addressOf(box.node('node1'), family), NODE_PORTS.remote);
      const load = await holdConnections(box.outside, to, {
        ...ONE_ADDRESS(box.outside, family),
        count: 3,
        seconds: 5,
      });
      const report = await load.wait();
      expect(report).toMatchObject({ opened: 3, alive: 3, failed: 0 });
      expect(report.ok).toBeGreaterThan(30);
    });

    it(`the node itself reaches a backend on another node through the cluster IP, IPv${family}`, async () => {
      const node = cluster.box.node('node1');
      const to = clusterIp(2, family);
      const report = await tcpClient(node, to, { ...ONE_ADDRESS(node, family), count: 20 });
      expect(report).toMatchObject({ ok: 20, failed: 0, peerName: { [to]: 20 } });
      expect(Object.keys(report.byServer).sort()).toEqual(['b1', 'b2']);
    });
  }
});
