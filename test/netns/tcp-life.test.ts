import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, tcpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { serviceObject, sliceObject } from '../support/cluster/objects.js';
import { addressOf, FAMILIES, type Family } from '../support/cluster/standard.js';
import { Puppet } from '../support/netns/puppet.js';

const TARGET = 9999;
/** TIME_WAIT may be reused after a second (tcp_tw_reuse). */
const REUSE_MS = 1100;

describe.each([
  { xdp: 'off', netfilter: [] },
  { xdp: 'off', netfilter: ['conntrack', 'invalidDrop'] },
  { xdp: 'force', netfilter: [] },
] as const)(
  'a TCP client that uses its port again (SEMANTICS 6), --xdp=$xdp, netfilter $netfilter',
  ({ xdp, netfilter }) => {
    let cluster: Cluster;
    const puppets = new Map<string, Puppet>();
    const puppet = (name: string) => puppets.get(name) as Puppet;
    let port = 42_000;

    beforeAll(async () => {
      cluster = await Cluster.start({
        box: { netfilter: [...netfilter], xdp: xdp === 'force' },
        agentArgs: [`--xdp=${xdp}`],
      });
      const { box } = cluster;
      const backends = ['a2', 'b1'].map((name, i) => {
        const pod = box.pod(name);
        const at = (family: Family) => [{ ip: addressOf(pod, family), node: pod.node }];
        const ports = [{ port: TARGET }];
        return [
          serviceObject({
            name,
            type: 'NodePort',
            clusterIPs: [`10.96.3.${i + 1}`, `fd00:96::3:${i + 1}`],
            ports: [{ port: 80, targetPort: TARGET, nodePort: 30080 + i }],
          }),
          sliceObject(name, at(4), ports, { family: 4 }),
          sliceObject(name, at(6), ports, { family: 6 }),
        ];
      });
      for (const name of ['a1', 'outside', 'a2', 'b1']) puppets.set(name, await Puppet.start(box, name));
      // Known when a connection is refused by the pod and not by Shunt: it would be silent before.
      for (const name of ['a2', 'b1']) await puppet(name).listen('hello', TARGET);
      cluster.apply('20-services', backends.flat());
      for (const [from, to] of [
        ['a1', '[fd00:96::3:2]:80'],
        ['outside', endpoint(box.node('node1').ipv6, 30081)],
      ] as const)
        await eventually(`${to} to take connections`, async () => {
          const report = await tcpClient(box.where(from), to, { noRequest: true, timeoutMs: 300 });
          return report.ok === 1;
        });
    });
    afterAll(() => cluster?.close());

    const clients = xdp === 'off' ? ['a1', 'outside'] : ['outside'];
    for (const client of clients)
      for (const backend of ['a2', 'b1'])
        for (const family of FAMILIES) {
          const to = () => {
            const i = backend === 'a2' ? 0 : 1;
            if (client === 'outside')
              return endpoint(addressOf(cluster.box.node('node1'), family), 30080 + i);
            return endpoint(family === 4 ? `10.96.3.${i + 1}` : `fd00:96::3:${i + 1}`, 80);
          };

          it(`${client} -> ${backend}, IPv${family}: half-close, FIN, RST, refusal, each on one port`, async () => {
            const [c, s] = [puppet(client), puppet(backend)];
            const mine = port++;
            const open = async (name: string) => {
              // The last ACK of the connection before may be under way: until then its port is the kernel's.
              let opened = await c.tcp(name, to(), { port: mine });
              for (let i = 0; i < 20 && opened.error === 'EADDRNOTAVAIL'; i++) {
                await new Promise((resolve) => setTimeout(resolve, 50));
                opened = await c.tcp(name, to(), { port: mine });
              }
              expect(opened, `${name} on port ${mine}`).toEqual({});
              expect((await s.accept('listener', name)).error, name).toBeUndefined();
            };
            await s.closeSocket('hello').catch(() => {});

            // Nobody listens: the backend's own reset, in the name of the Service.
            expect(await c.tcp('refused', to(), { port: mine })).toEqual({ error: 'ECONNREFUSED' });
            expect(await s.listen('listener', TARGET)).toEqual({});

            // Half-close: the server goes on sending after it has read the end.
            await open('half');
            expect(await c.shutdown('half')).toEqual({});
            expect(await s.receive('half')).toEqual({ eof: true });
            for (let i = 0; i < 3; i++) {
              expect(await s.send('half', '-', 1000)).toEqual({});
              expect(await c.receive('half')).toEqual({ length: 1000 });
            }
            await s.closeSocket('half');
            expect(await c.receive('half')).toEqual({ eof: true });
            await c.closeSocket('half');
            await new Promise((resolve) => setTimeout(resolve, REUSE_MS));

            // After both FINs, then after a reset of either side, the same port begins anew.
            await open('again');
            expect(await c.send('again', '-', 100)).toEqual({});
            expect(await s.receive('again')).toEqual({ length: 100 });
            await c.reset('again');
            expect(await s.receive('again')).toEqual({ error: 'ECONNRESET' });
            await s.closeSocket('again');

            await open('third');
            await s.reset('third');
            expect(await c.receive('third')).toEqual({ error: 'ECONNRESET' });
            await c.closeSocket('third');

            // The server ends first: TIME_WAIT is on its side.
            await open('fourth');
            await s.closeSocket('fourth');
            expect(await c.receive('fourth')).toEqual({ eof: true });
            await c.closeSocket('fourth');
            await open('fifth');
            expect(await s.send('fifth', '-', 10)).toEqual({});
            expect(await c.receive('fifth')).toEqual({ length: 10 });
            await c.reset('fifth');
            expect(await s.receive('fifth')).toEqual({ error: 'ECONNRESET' });
            await s.closeSocket('fifth');
            await s.closeSocket('listener');
            await s.listen('hello', TARGET);
          });
        }
  },
);
