import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { addressOf, FAMILIES, type Family, standardService } from '../support/cluster/standard.js';
import { Puppet } from '../support/netns/puppet.js';

// Two Services for each backend; each of them is one frontend more for the same pod.
const SERVICES = [
  { name: 'here-1', number: 1, pods: ['a2'], nodePorts: { tcp: 30081, udp: 30051 } },
  { name: 'here-2', number: 2, pods: ['a2'], nodePorts: { tcp: 30082, udp: 30052 } },
  { name: 'there-1', number: 3, pods: ['b1'], nodePorts: { tcp: 30083, udp: 30053 } },
  { name: 'there-2', number: 4, pods: ['b1'], nodePorts: { tcp: 30084, udp: 30054 } },
] as const;

type Protocol = 'tcp' | 'udp';

describe.each([{ netfilter: [] }, { netfilter: ['conntrack', 'invalidDrop'] as const }])(
  'one client port, one backend, several ways to it (ARCHITECTURE 1, SEMANTICS 6), netfilter $netfilter',
  ({ netfilter }) => {
    let cluster: Cluster;
    const puppets = new Map<string, Puppet>();
    let port = 40_000;

    beforeAll(async () => {
      cluster = await Cluster.start({ box: { netfilter: [...netfilter] } });
      const { box } = cluster;
      const services = SERVICES.map((s) => standardService(box, { ...s, pods: [...s.pods] }));
      cluster.apply(
        '20-services',
        services.flatMap((s) => s.objects),
      );
      for (const name of ['a1', 'node1', 'outside']) puppets.set(name, await Puppet.start(box, name));
      for (const service of services) await cluster.reachable('a1', service.tcp[6]);
      await cluster.reachable('outside', endpoint(box.node('node1').ipv6, 30084));
    });
    afterAll(() => cluster?.close());

    function frontend(
      client: string,
      backend: string,
      which: 1 | 2,
      family: Family,
      protocol: Protocol,
    ): string {
      const name = `${backend === 'a2' ? 'here' : 'there'}-${which}`;
      const service = SERVICES.find((s) => s.name === name) as (typeof SERVICES)[number];
      if (client === 'outside')
        return endpoint(addressOf(cluster.box.node('node1'), family), service.nodePorts[protocol]);
      const { number } = service;
      return endpoint(
        family === 4 ? `10.96.1.${number}` : `fd00:96::1:${number}`,
        protocol === 'tcp' ? 80 : 53,
      );
    }

    const direct = (backend: string, family: Family, protocol: Protocol) =>
      endpoint(addressOf(cluster.box.pod(backend), family), protocol === 'tcp' ? 8080 : 9000);

    for (const client of ['a1', 'node1', 'outside'])
      for (const backend of ['a2', 'b1'])
        for (const family of FAMILIES) {
          const name = `${client} -> ${backend}, IPv${family}`;
          const ways = (): Record<string, (protocol: Protocol) => string[]> => ({
            'two frontends': (p) => [
              frontend(client, backend, 1, family, p),
              frontend(client, backend, 2, family, p),
            ],
            'a frontend, then directly': (p) => [
              frontend(client, backend, 1, family, p),
              direct(backend, family, p),
            ],
            'directly, then a frontend': (p) => [
              direct(backend, family, p),
              frontend(client, backend, 1, family, p),
            ],
            'a frontend, directly, another frontend': (p) => [
              frontend(client, backend, 1, family, p),
              direct(backend, family, p),
              frontend(client, backend, 2, family, p),
            ],
          });

          for (const way of [
            'two frontends',
            'a frontend, then directly',
            'directly, then a frontend',
            'a frontend, directly, another frontend',
          ])
            it(`TCP, ${way}: ${name}`, async () => {
              const puppet = puppets.get(client) as Puppet;
              const mine = port++;
              const targets = (ways()[way] as (p: Protocol) => string[])('tcp');
              const ids = targets.map((_, i) => `${mine}-${i}`);
              for (const [i, to] of targets.entries()) {
                expect(await puppet.tcp(ids[i] as string, to, { port: mine }), to).toEqual({});
                expect((await puppet.get(ids[i] as string)).answer, to).toMatchObject({ server: backend });
              }
              // All of them go on, in turns.
              const ends = new Set<string>();
              for (let round = 0; round < 3; round++)
                for (const [i, id] of ids.entries()) {
                  const { answer, error } = await puppet.get(id);
                  expect(error, `${targets[i]} in round ${round}`).toBeUndefined();
                  expect(answer).toMatchObject({ server: backend });
                  if (round === 0) ends.add(`${answer?.peer} ${answer?.peerPort}`);
                }
              expect(ends.size).toBe(ids.length);
              for (const id of ids) await puppet.closeSocket(id);
            });

          for (const way of [
            'two frontends',
            'a frontend, then directly',
            'directly, then a frontend',
            'a frontend, directly, another frontend',
          ])
            it(`UDP from one socket, ${way}: ${name}`, async () => {
              const puppet = puppets.get(client) as Puppet;
              const mine = port++;
              const targets = (ways()[way] as (p: Protocol) => string[])('udp');
              expect(await puppet.udp(`u${mine}`, family, { port: mine })).toEqual({});
              for (let round = 0; round < 3; round++)
                for (const to of targets) {
                  const { answer, from, error } = await puppet.ask(`u${mine}`, to);
                  expect(error, `${to} in round ${round}`).toBeUndefined();
                  expect(answer).toMatchObject({ server: backend });
                  expect(from, `in round ${round}`).toBe(to);
                }
              await puppet.closeSocket(`u${mine}`);
            });
        }
  },
);
