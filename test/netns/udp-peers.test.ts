import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../support/cluster/cluster.js';
import { FAMILIES, type StandardService, standardService } from '../support/cluster/standard.js';
import { Puppet } from '../support/netns/puppet.js';

// The port of the pods behind the UDP port of a standard Service.
const PORT = 9000;

// SIP, WireGuard and gossip do this: both ends have the same fixed port, and each knows the other by its Service only.
describe('two pods that are clients of each other’s Service, from the port that it leads to', () => {
  let cluster: Cluster;
  const services = new Map<string, StandardService>();
  const puppets = new Map<string, Puppet>();

  beforeAll(async () => {
    cluster = await Cluster.start({ servers: false });
    const { box } = cluster;
    ['a1', 'a2', 'b1'].forEach((pod, i) => {
      services.set(pod, standardService(box, { name: `of-${pod}`, number: i + 1, pods: [pod] }));
    });
    cluster.apply(
      '20-services',
      [...services.values()].flatMap((s) => s.objects),
    );
    for (const pod of services.keys()) {
      puppets.set(pod, await Puppet.start(box, pod));
      await box.serve(pod, { http: [8080] });
    }
    for (const s of services.values()) {
      for (const from of ['a1', 'b1']) await cluster.reachable(from, s.tcp[6]);
    }
  });
  afterAll(() => cluster?.close());

  for (const family of FAMILIES) {
    it.each([
      ['on one node', 'a1', 'a2'],
      ['on two nodes', 'a1', 'b1'],
    ])(`%s: each sees the other by its Service, IPv${family}`, async (_, one, other) => {
      const ends = [one, other].map((pod, i) => ({
        puppet: puppets.get(pod) as Puppet,
        peer: (services.get(i === 0 ? other : one) as StandardService).udp[family],
      }));
      const id = `${other}-${family}`;
      for (const { puppet, peer } of ends) {
        expect(await puppet.udp(id, family, { port: PORT })).toEqual({});
        expect(await puppet.peer(id, peer)).toEqual({});
      }
      // Until both have sent, each is a stranger to the other, whose socket refuses it.
      for (const { puppet } of ends) await puppet.send(id);
      for (const { puppet } of ends) while ((await puppet.receive(id, 100)).error !== 'ETIMEDOUT');
      for (let round = 0; round < 3; round++) {
        const [a, b] = ends.map(({ puppet }) => puppet) as [Puppet, Puppet];
        for (const [from, to] of [
          [a, b],
          [b, a],
        ] as const) {
          expect(await from.send(id, '-', 100 + round), `round ${round}`).toEqual({});
          expect(await to.receive(id), `round ${round}`).toEqual({ length: 100 + round });
        }
      }
      for (const { puppet } of ends) await puppet.closeSocket(id);
    });
  }
});
