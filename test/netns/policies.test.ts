import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, tcpClient, udpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import type { KubeObject } from '../support/cluster/objects.js';
import { addressOf, FAMILIES, standardService } from '../support/cluster/standard.js';

const SECOND_ADDRESS = { 4: '172.30.0.51', 6: 'fd00:30::51' };

/** Servers that answer over many connections, sorted, or the error. */
async function servers(cluster: Cluster, from: string, to: string, count = 24): Promise<string> {
  const report = await tcpClient(cluster.box.where(from), to, {
    count,
    concurrency: count,
    timeoutMs: 400,
    deadlineMs: 1500,
  });
  return report.failed > 0 ? Object.keys(report.errors).join() : Object.keys(report.byServer).sort().join();
}

type Endpoints = { addresses: string[]; conditions: Record<string, boolean>; hints?: unknown }[];

/** Changes the endpoints of both slices; `pod` is the name of the pod behind it. */
function withEndpoints(
  cluster: Cluster,
  objects: KubeObject[],
  change: (endpoint: Endpoints[number], pod: string) => void,
): KubeObject[] {
  const podOf = (ip: string | undefined) =>
    [...cluster.box.pods.values()].find((p) => p.ipv4 === ip || p.ipv6 === ip)?.name ?? '';
  const copy = structuredClone(objects);
  for (const object of copy)
    if (object.kind === 'EndpointSlice')
      for (const e of object.endpoints as Endpoints) change(e, podOf(e.addresses[0]));
  return copy;
}

describe('which endpoints are used (SEMANTICS 3, 4)', () => {
  let cluster: Cluster;
  let number = 0;

  beforeAll(async () => {
    cluster = await Cluster.start();
  });
  afterAll(() => cluster?.close());

  const PODS = ['a1', 'a2', 'b1', 'b2'];

  /** A Service with these endpoints, and who answers on its cluster IP and NodePort. */
  function make(
    change: (endpoint: Endpoints[number], pod: string) => void,
    o: { internal?: 'Local'; external?: 'Local'; pods?: string[] } = {},
  ) {
    const mine = ++number;
    const service = standardService(cluster.box, {
      name: `policy${mine}`,
      number: mine,
      pods: o.pods ?? PODS,
      nodePorts: { tcp: 30100 + mine, udp: 30200 + mine },
      ...(o.internal ? { internalTrafficPolicy: o.internal } : {}),
      ...(o.external ? { externalTrafficPolicy: o.external } : {}),
    });
    const apply = (c = change) => cluster.apply(`p${mine}`, withEndpoints(cluster, service.objects, c));
    apply();
    const nodePort = (node: string, family: 4 | 6) =>
      endpoint(addressOf(cluster.box.node(node), family), 30100 + mine);
    const become = (from: string, to: string, wanted: string) =>
      eventually(
        `${from} -> ${to} to be answered by ${wanted}`,
        async () => (await servers(cluster, from, to)) === wanted,
      );
    return { service, apply, nodePort, become };
  }

  for (const family of FAMILIES) {
    it(`hints for zones: those of this node's zone, from every client of the node, IPv${family}`, async () => {
      const { service, nodePort, become } = make((e, pod) => {
        e.hints = { forZones: [{ name: pod.startsWith('a') ? 'zone-1' : 'zone-2' }] };
      });
      await become('a1', service.tcp[family], 'a1,a2');
      await become('b1', service.tcp[family], 'b1,b2');
      await become('node1', service.tcp[family], 'a1,a2');
      await become('outside', nodePort('node2', family), 'b1,b2');
    });

    it(`hints for nodes before those for zones, IPv${family}`, async () => {
      const { service, become } = make((e, pod) => {
        e.hints = {
          forZones: [{ name: 'zone-1' }],
          forNodes: [{ name: pod === 'a2' ? 'node1' : 'node2' }],
        };
      });
      await become('a1', service.tcp[family], 'a2');
      await become('b1', service.tcp[family], 'a1,b1,b2');
    });

    it(`one endpoint without a hint: all, IPv${family}`, async () => {
      const { service, become } = make((e, pod) => {
        if (pod !== 'b2') e.hints = { forZones: [{ name: 'zone-1' }] };
      });
      await become('a1', service.tcp[family], 'a1,a2,b1,b2');
    });

    it(`internalTrafficPolicy Local: this node's, else silence; NodePorts are not concerned, IPv${family}`, async () => {
      const { service, nodePort, become } = make(() => {}, { internal: 'Local', pods: ['b1', 'b2'] });
      await become('b1', service.tcp[family], 'b1,b2');
      await become('a1', service.tcp[family], 'ETIMEDOUT');
      await become('node1', service.tcp[family], 'ETIMEDOUT');
      await become('outside', nodePort('node1', family), 'b1,b2');
      await become('a1', nodePort('node1', family), 'b1,b2');
    });

    it(`externalTrafficPolicy Local: terminating ones of this node while they serve, then silence, IPv${family}`, async () => {
      const state = (gone: boolean) => (e: Endpoints[number], pod: string) => {
        if (pod.startsWith('a')) e.conditions = { ready: false, serving: !gone, terminating: true };
      };
      const { nodePort, become, apply } = make(state(false), { external: 'Local' });
      // Remote ready ones exist, and yet: the local terminating ones.
      await become('outside', nodePort('node1', family), 'a1,a2');
      await become('outside', nodePort('node2', family), 'b1,b2');
      // A pod uses the Cluster list, in which the ready ones go first.
      await become('a1', nodePort('node1', family), 'b1,b2');
      apply(state(true));
      await become('outside', nodePort('node1', family), 'ETIMEDOUT');
      await become('a1', nodePort('node1', family), 'b1,b2');
    });

    it(`Cluster: terminating ones only when nobody is ready, refusal when nobody serves, IPv${family}`, async () => {
      const terminating = (serving: boolean) => (e: Endpoints[number]) => {
        e.conditions = { ready: false, serving, terminating: true };
      };
      const { service, nodePort, become, apply } = make((e, pod) => {
        if (pod !== 'b1') e.conditions = { ready: false, serving: true, terminating: true };
      });
      await become('a1', service.tcp[family], 'b1');
      apply(terminating(true));
      await become('a1', service.tcp[family], 'a1,a2,b1,b2');
      await become('outside', nodePort('node1', family), 'a1,a2,b1,b2');
      apply(terminating(false));
      await become('a1', service.tcp[family], 'ECONNREFUSED');
      await become('outside', nodePort('node1', family), 'ECONNREFUSED');
      await become('node1', service.tcp[family], 'ECONNREFUSED');
    });
  }
});

describe.each([
  { name: 'primary', flag: 'primary', second: false },
  { name: 'the CIDRs of the second address', flag: '172.30.0.48/29,fd00:30::50/124', second: true },
  { name: 'every address', flag: undefined, second: true },
])('--nodeport-addresses: $name (SEMANTICS 2)', ({ flag, second }) => {
  const NODE_PORT = { tcp: 30080, udp: 30053 };
  const isPrimaryServed = flag !== '172.30.0.48/29,fd00:30::50/124';
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({ agentArgs: flag ? [`--nodeport-addresses=${flag}`] : [] });
    const { objects, tcp } = standardService(cluster.box, {
      name: 'web',
      number: 1,
      pods: ['a2', 'b1'],
      nodePorts: NODE_PORT,
    });
    cluster.apply('20-services', objects);
    await cluster.reachable('a1', tcp[6]);
  });
  afterAll(() => cluster?.close());

  const answers = async (from: string, ip: string) => {
    const place = cluster.box.where(from);
    const tcp = await tcpClient(place, endpoint(ip, NODE_PORT.tcp), { count: 1, timeoutMs: 400 });
    const udp = await udpClient(place, endpoint(ip, NODE_PORT.udp), {
      count: 1,
      timeoutMs: 400,
      connected: true,
    });
    expect(tcp.ok).toBe(udp.ok);
    return tcp.ok === 1;
  };

  for (const family of FAMILIES)
    it(`an address that comes while the agent runs, and goes again, IPv${family}`, async () => {
      const node = cluster.box.node('node1');
      const ip = SECOND_ADDRESS[family];
      const change = (verb: string) =>
        cluster.box.exec(node, [
          'ip',
          'addr',
          verb,
          `${ip}/${family === 4 ? 24 : 64}`,
          'dev',
          'eth0',
          ...(family === 6 && verb === 'add' ? ['nodad'] : []),
        ]);
      expect(await answers('outside', addressOf(node, family))).toBe(isPrimaryServed);
      await change('add');
      if (second) await eventually(`${ip} to serve`, () => answers('outside', ip));
      else {
        // Nothing to wait for: give it the time that the other variants need.
        await new Promise((resolve) => setTimeout(resolve, 500));
        expect(await answers('outside', ip)).toBe(false);
        expect(await answers('a1', ip)).toBe(false);
      }
      if (second) for (const from of ['a1', 'node1']) expect(await answers(from, ip), from).toBe(true);
      await change('del');
      if (second) await eventually(`${ip} to be forgotten`, async () => !(await answers('node1', ip)));
      expect(await answers('outside', addressOf(node, family))).toBe(isPrimaryServed);
    });
});
