import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Box, endpoint, type Place, startCapture, transfer, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, type Family, standardService } from '../support/cluster/standard.js';

const MEBIBYTES_50 = 50 * 1024 * 1024;
const NODE_PORT = { tcp: 30080, udp: 30053 };
const LOCAL_PORT = { tcp: 30081, udp: 30054 };

interface Path {
  name: string;
  from: (box: Box) => Place;
  to: (box: Box, family: Family, protocol: 'tcp' | 'udp') => string;
  /** Pod that receives, and whose captures are checked. */
  backend: string;
}

function clusterIp(number: number, family: Family, protocol: 'tcp' | 'udp'): string {
  const port = protocol === 'tcp' ? 80 : 53;
  return endpoint(family === 4 ? `10.96.1.${number}` : `fd00:96::1:${number}`, port);
}

const PATHS: Path[] = [
  {
    name: 'pod -> cluster IP, backend on this node',
    from: (box) => box.pod('a1'),
    to: (_box, family, protocol) => clusterIp(1, family, protocol),
    backend: 'a2',
  },
  {
    name: 'pod -> cluster IP, backend on another node',
    from: (box) => box.pod('a1'),
    to: (_box, family, protocol) => clusterIp(2, family, protocol),
    backend: 'b1',
  },
  {
    name: 'pod -> itself through its Service',
    from: (box) => box.pod('a2'),
    to: (_box, family, protocol) => clusterIp(1, family, protocol),
    backend: 'a2',
  },
  {
    name: 'node -> cluster IP, backend on another node',
    from: (box) => box.node('node1'),
    to: (_box, family, protocol) => clusterIp(2, family, protocol),
    backend: 'b1',
  },
  {
    name: 'outside -> NodePort, backend on another node',
    from: (box) => box.outside,
    to: (box, family, protocol) => endpoint(addressOf(box.node('node1'), family), NODE_PORT[protocol]),
    backend: 'b1',
  },
  {
    name: 'outside -> NodePort, backend on this node',
    from: (box) => box.outside,
    to: (box, family, protocol) => endpoint(addressOf(box.node('node2'), family), NODE_PORT[protocol]),
    backend: 'b1',
  },
  {
    name: 'outside -> NodePort with Local policy',
    from: (box) => box.outside,
    to: (box, family, protocol) => endpoint(addressOf(box.node('node1'), family), LOCAL_PORT[protocol]),
    backend: 'a2',
  },
];

// Between veths a receiver trusts an unfinished checksum; only with offload off at every sender does a wrong one show.
describe.each([
  { txOffload: 'on', xdp: 'off' },
  { txOffload: 'off', xdp: 'off' },
  { txOffload: 'off', xdp: 'force' },
] as const)('50 MB arrive intact, tx offload $txOffload, --xdp=$xdp', ({ txOffload, xdp }) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start({
      box: xdp === 'force' ? { xdp: true } : { txOffload },
      agentArgs: [`--xdp=${xdp}`],
    });
    const { box } = cluster;
    cluster.apply('20-services', [
      ...standardService(box, {
        name: 'here',
        number: 1,
        pods: ['a2'],
        nodePorts: LOCAL_PORT,
        externalTrafficPolicy: 'Local',
      }).objects,
      ...standardService(box, { name: 'there', number: 2, pods: ['b1'], nodePorts: NODE_PORT }).objects,
    ]);
    await cluster.reachable('a1', clusterIp(1, 6, 'tcp'));
    await cluster.reachable('a1', clusterIp(2, 6, 'tcp'));
    await cluster.reachable('outside', endpoint(box.node('node2').ipv6, NODE_PORT.tcp));
  });
  afterAll(() => cluster?.close());

  for (const path of PATHS) {
    for (const family of FAMILIES) {
      it(`${path.name}, IPv${family}`, async () => {
        const { box } = cluster;
        const from = path.from(box);
        const captures =
          txOffload === 'off'
            ? await Promise.all([startCapture(box.pod(path.backend)), startCapture(from)])
            : [];
        const tcp = path.to(box, family, 'tcp');
        for (const direction of ['send', 'receive'] as const) {
          const report = await transfer(from, tcp, { bytes: MEBIBYTES_50, direction });
          expect(report, direction).toMatchObject({ ok: true, bytes: MEBIBYTES_50, error: null });
          expect(report.hash).toBe(report.expected);
        }
        const udp = await udpClient(from, path.to(box, family, 'udp'), {
          count: 20,
          size: 1200,
          answerSize: 1200,
        });
        expect(udp).toMatchObject({ ok: 20, failed: 0, byServer: { [path.backend]: 20 } });
        for (const capture of captures) {
          const result = await capture.stop();
          expect(result.packets.length).toBeGreaterThan(100);
          expect(result).toMatchObject({ cut: 0, dropped: 0 });
          expect(result.bad).toEqual([]);
        }
      });
    }
  }
});
