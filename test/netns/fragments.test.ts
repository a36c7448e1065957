import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CapturedPacket, endpoint, startCapture } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, standardService } from '../support/cluster/standard.js';
import { Puppet } from '../support/netns/puppet.js';

const HERE = { tcp: 30080, udp: 30053 };
const THERE = { tcp: 30081, udp: 30054 };
/** Two, three and nearly 64 KiB worth of fragments; all above 1500 bytes. */
const SIZES = [1473, 4000, 60_000];

/** Fragments after the first: they have no ports of their own. */
function laterFragments(packets: CapturedPacket[]): number {
  return packets.filter(({ data }) => {
    const type = ((data[12] as number) << 8) | (data[13] as number);
    if (type === 0x0800) return (((data[20] as number) << 8) | (data[21] as number)) & 0x1fff;
    return (
      type === 0x86dd && data[20] === 44 && (((data[56] as number) << 8) | (data[57] as number)) & 0xfff8
    );
  }).length;
}

describe.each([
  { xdp: 'off', mode: 'routed', flags: [] },
  { xdp: 'force', mode: 'routed', flags: [] },
  { xdp: 'off', mode: 'vxlan', flags: ['--host-routing=stack'] },
] as const)(
  'datagrams larger than the MTU, both directions, --xdp=$xdp, $mode $flags (SEMANTICS 6, 7)',
  ({ xdp, mode, flags }) => {
    let cluster: Cluster;
    const puppets = new Map<string, Puppet>();

    beforeAll(async () => {
      cluster = await Cluster.start({
        box: xdp === 'force' ? { mode, xdp: true } : { mode, txOffload: 'off' },
        agentArgs: [`--xdp=${xdp}`, ...flags],
      });
      const { box } = cluster;
      const services = [
        standardService(box, { name: 'here', number: 1, pods: ['a2'], nodePorts: HERE }),
        standardService(box, { name: 'there', number: 2, pods: ['b1'], nodePorts: THERE }),
      ];
      cluster.apply(
        '20-services',
        services.flatMap((s) => s.objects),
      );
      for (const name of ['a1', 'a2', 'node1', 'outside']) puppets.set(name, await Puppet.start(box, name));
      for (const service of services) await cluster.reachable('a1', service.tcp[6]);
      await cluster.reachable('outside', endpoint(box.node('node1').ipv6, THERE.tcp));
    });
    afterAll(() => cluster?.close());

    const paths = [
      { from: 'a1', what: 'cluster IP', backend: 'a2' },
      { from: 'a1', what: 'cluster IP', backend: 'b1' },
      { from: 'a2', what: 'cluster IP', backend: 'a2' }, // itself
      { from: 'node1', what: 'cluster IP', backend: 'b1' },
      { from: 'outside', what: 'NodePort', backend: 'a2' },
      { from: 'outside', what: 'NodePort', backend: 'b1' },
    ];
    for (const path of paths)
      for (const family of FAMILIES) {
        it(`${path.from} -> ${path.what} -> ${path.backend}, IPv${family}`, async () => {
          const { box } = cluster;
          const isHere = path.backend === 'a2';
          const to =
            path.what === 'cluster IP'
              ? endpoint(family === 4 ? `10.96.1.${isHere ? 1 : 2}` : `fd00:96::1:${isHere ? 1 : 2}`, 53)
              : endpoint(addressOf(box.node('node1'), family), (isHere ? HERE : THERE).udp);
          const captures = await Promise.all([
            startCapture(box.pod(path.backend), { direction: 'in' }),
            startCapture(box.where(path.from), { direction: 'in' }),
          ]);
          const puppet = puppets.get(path.from) as Puppet;
          // A connected socket of the node is translated at egress, packet by packet.
          for (const isConnected of [false, true]) {
            const id = `${family}-${isConnected}`;
            expect(await puppet.udp(id, family)).toEqual({});
            if (isConnected) expect(await puppet.peer(id, to)).toEqual({});
            for (const size of SIZES) {
              // The first may find that the path is narrower than the device; the sender adapts.
              let got = await puppet.ask(id, isConnected ? '-' : to, { size, pad: size, ms: 300 });
              for (let i = 0; got.error && i < 2; i++)
                got = await puppet.ask(id, isConnected ? '-' : to, { size, pad: size, ms: 300 });
              expect(got.error, `${size} bytes`).toBeUndefined();
              expect(got).toMatchObject({ length: size, from: to });
              expect(got.answer).toMatchObject({ server: path.backend, length: size });
            }
            await puppet.closeSocket(id);
          }
          for (const capture of captures) {
            const { packets, bad } = await capture.stop();
            expect(bad).toEqual([]);
            expect(laterFragments(packets)).toBeGreaterThan(SIZES.length);
          }
        });
      }
  },
);
