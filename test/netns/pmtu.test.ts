import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Box, endpoint, startCapture, transfer } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, type Family, standardService } from '../support/cluster/standard.js';
import { tooBigErrors } from '../support/netns/icmp.js';
import { Puppet } from '../support/netns/puppet.js';

const NODE_PORT = { here: { tcp: 30080, udp: 30053 }, there: { tcp: 30081, udp: 30054 } };
const NARROW = 1300;
const WIDE = 1500;
const TRANSFER = 256 * 1024;

type Squeeze = (box: Box, mtu: number) => Promise<void>;

// Of a route only a locked MTU is told to BPF (bpf_fib_lookup); forwarding honours the other kind too.

/** The route of the pod's node to the pod. */
const podLink =
  (pod: string): Squeeze =>
  async (box, mtu) => {
    const { node, hostInterface, ipv4, ipv6 } = box.pod(pod);
    const lines = [
      `route replace ${ipv4}/32 dev ${hostInterface} scope link mtu lock ${mtu}`,
      `route replace ${ipv6}/128 dev ${hostInterface} mtu lock ${mtu}`,
    ];
    await box.exec(node, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
  };

/** node1's route to the pods of node2. */
const nodeToNode: Squeeze = async (box, mtu) => {
  const { plan } = box.node('node2');
  const lines = [
    `route replace ${plan.podCidr4} via ${plan.ipv4} dev eth0 mtu lock ${mtu}`,
    `route replace ${plan.podCidr6} via ${plan.ipv6} dev eth0 mtu lock ${mtu}`,
  ];
  await box.exec('node1', ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
};

/** node1's route to the outside client. */
const nodeToClient: Squeeze = async (box, mtu) => {
  const lines = [
    `route replace ${box.outside.ipv4}/32 dev eth0 mtu lock ${mtu}`,
    `route replace ${box.outside.ipv6}/128 dev eth0 mtu lock ${mtu}`,
  ];
  await box.exec('node1', ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
};

interface Path {
  name: string;
  from: string;
  backend: 'a2' | 'b1';
  squeeze: Squeeze;
  /** Which way the link is narrow; the sender of that way must learn it. */
  narrow: 'forth' | 'back';
}

const PATHS: Path[] = [
  {
    name: "pod -> cluster IP, a remote backend's link",
    from: 'a1',
    backend: 'b1',
    squeeze: podLink('b1'),
    narrow: 'forth',
  },
  {
    name: "pod -> cluster IP, a local backend's link",
    from: 'a1',
    backend: 'a2',
    squeeze: podLink('a2'),
    narrow: 'forth',
  },
  {
    name: 'pod -> cluster IP, node to node',
    from: 'a1',
    backend: 'b1',
    squeeze: nodeToNode,
    narrow: 'forth',
  },
  {
    name: "pod -> cluster IP, the client's link",
    from: 'a1',
    backend: 'b1',
    squeeze: podLink('a1'),
    narrow: 'back',
  },
  {
    name: "outside -> NodePort, a remote backend's link",
    from: 'outside',
    backend: 'b1',
    squeeze: podLink('b1'),
    narrow: 'forth',
  },
  {
    name: "outside -> NodePort, a local backend's link",
    from: 'outside',
    backend: 'a2',
    squeeze: podLink('a2'),
    narrow: 'forth',
  },
  {
    name: 'outside -> NodePort, node to node',
    from: 'outside',
    backend: 'b1',
    squeeze: nodeToNode,
    narrow: 'forth',
  },
  {
    name: 'outside -> NodePort, node to client, remote backend',
    from: 'outside',
    backend: 'b1',
    squeeze: nodeToClient,
    narrow: 'back',
  },
  {
    name: 'outside -> NodePort, node to client, local backend',
    from: 'outside',
    backend: 'a2',
    squeeze: nodeToClient,
    narrow: 'back',
  },
  {
    name: "node -> cluster IP, a remote backend's link",
    from: 'node1',
    backend: 'b1',
    squeeze: podLink('b1'),
    narrow: 'forth',
  },
  {
    name: 'node -> cluster IP, node to node',
    from: 'node1',
    backend: 'b1',
    squeeze: nodeToNode,
    narrow: 'forth',
  },
];

describe.each([
  { xdp: 'off', txOffload: 'on', flags: [] },
  { xdp: 'force', txOffload: 'off', flags: [] },
  { xdp: 'off', txOffload: 'off', flags: ['--host-routing=stack'] },
] as const)(
  'a narrow link behind a Service is discovered, --xdp=$xdp $flags (SEMANTICS 6, 7)',
  ({ xdp, txOffload, flags }) => {
    let cluster: Cluster;
    const puppets = new Map<string, Puppet>();
    let socket = 0;

    beforeAll(async () => {
      cluster = await Cluster.start({
        // Whole segments to cut (offload on) and wrong checksums to see (off) exclude each other.
        box: xdp === 'force' ? { xdp: true } : { txOffload },
        agentArgs: [`--xdp=${xdp}`, ...flags],
      });
      const { box } = cluster;
      const services = [
        standardService(box, { name: 'here', number: 1, pods: ['a2'], nodePorts: NODE_PORT.here }),
        standardService(box, { name: 'there', number: 2, pods: ['b1'], nodePorts: NODE_PORT.there }),
      ];
      cluster.apply(
        '20-services',
        services.flatMap((s) => s.objects),
      );
      for (const name of ['a1', 'node1', 'outside']) puppets.set(name, await Puppet.start(box, name));
      for (const service of services) await cluster.reachable('a1', service.tcp[6]);
      await cluster.reachable('outside', endpoint(box.node('node1').ipv6, NODE_PORT.there.tcp));
    });
    afterAll(() => cluster?.close());

    function target(path: Path, family: Family, protocol: 'tcp' | 'udp'): { ip: string; port: number } {
      const isHere = path.backend === 'a2';
      if (path.from === 'outside')
        return {
          ip: addressOf(cluster.box.node('node1'), family),
          port: NODE_PORT[isHere ? 'here' : 'there'][protocol],
        };
      const number = isHere ? 1 : 2;
      return {
        ip: family === 4 ? `10.96.1.${number}` : `fd00:96::1:${number}`,
        port: protocol === 'tcp' ? 80 : 53,
      };
    }

    /** What everybody has learned so far about paths. */
    async function forget(): Promise<void> {
      const { pods, nodes, outside } = cluster.box.plan;
      const flush = [...pods, ...nodes, outside]
        .flatMap(({ namespace }) => [4, 6].map((family) => `ip -n ${namespace} -${family} route flush cache`))
        .join('; ');
      await cluster.box.exec('switch', ['sh', '-c', flush]);
    }

    for (const path of PATHS)
      for (const family of FAMILIES)
        it(`${path.name}, IPv${family}`, async () => {
          const { box } = cluster;
          const place = box.where(path.from);
          const to = target(path, family, 'udp');
          const address = endpoint(to.ip, to.port);
          const puppet = puppets.get(path.from) as Puppet;
          const id = `s${socket++}`;
          await path.squeeze(box, NARROW);
          try {
            await forget();
            const capture = await startCapture(place, { direction: 'in', filter: 'icmp or icmp6' });
            expect(await puppet.udp(id, family, { dontFragment: true })).toEqual({});
            expect(await puppet.peer(id, address)).toEqual({});
            if (path.narrow === 'forth') {
              // The datagram is lost, its sender told; the next one does not leave at all.
              expect((await puppet.ask(id, '-', { size: 1400, ms: 500 })).error).toBe('EMSGSIZE');
              expect((await puppet.ask(id, '-', { size: 1400, ms: 500 })).error).toBe('EMSGSIZE');
              expect(await puppet.pathMtu(id)).toBe(NARROW);
            } else {
              // The server's first large answer is lost; its kernel is told, and fragments the next.
              const first = await puppet.ask(id, '-', { pad: 1400, ms: 300 });
              expect([undefined, 'ETIMEDOUT']).toContain(first.error);
              expect(await puppet.ask(id, '-', { pad: 1400 })).toMatchObject({ length: 1400 });
            }
            expect(await puppet.ask(id, '-', { size: 1200, pad: 1200 })).toMatchObject({
              length: 1200,
              from: address,
            });
            await forget();
            const tcp = target(path, family, 'tcp');
            for (const direction of ['send', 'receive'] as const) {
              const report = await transfer(place, endpoint(tcp.ip, tcp.port), {
                bytes: TRANSFER,
                direction,
                timeoutMs: 5000,
              });
              expect(report, direction).toMatchObject({ ok: true, bytes: TRANSFER });
            }
            const { packets, bad } = await capture.stop();
            if (txOffload === 'off') expect(bad).toEqual([]);
            const errors = tooBigErrors(packets);
            // At the node itself a capture sees them before the translation: that the socket was told, and that
            // TCP goes through, is the proof there.
            if (path.from !== 'node1') {
              for (const error of errors)
                expect(error).toMatchObject({
                  mtu: NARROW,
                  source: addressOf(place as typeof box.outside, family),
                  destination: target(path, family, error.protocol).ip,
                  destinationPort: target(path, family, error.protocol).port,
                });
              const told = new Set(errors.map((e) => e.protocol));
              expect([...told].sort()).toEqual(path.narrow === 'forth' ? ['tcp', 'udp'] : []);
            }
          } finally {
            await path.squeeze(box, WIDE);
            await puppet.closeSocket(id);
          }
        });
  },
);
