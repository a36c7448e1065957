import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, tcpClient, udpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import type { KubeObject } from '../support/cluster/objects.js';
import { addressOf, FAMILIES, type Family, standardService } from '../support/cluster/standard.js';
import { routeToNode } from '../support/netns/routes.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };

/** Load-balancer and external IPs of a Service by its number. */
const lb = (number: number, family: Family) => (family === 4 ? `192.0.2.${number}` : `2001:db8:1::${number}`);
const external = (number: number, family: Family) =>
  family === 4 ? `198.51.100.${number}` : `2001:db8:2::${number}`;

describe.each([{ xdp: 'off' }, { xdp: 'force' }] as const)(
  'loadBalancerSourceRanges, --xdp=$xdp (SEMANTICS 7)',
  ({ xdp }) => {
    let cluster: Cluster;

    /** @param ranges undefined: none. */
    function service(
      number: number,
      ranges: string[] | undefined,
      o: { pods?: string[]; nodePorts?: typeof NODE_PORT } = {},
    ): KubeObject[] {
      const { objects } = standardService(cluster.box, {
        name: `ranges${number}`,
        number,
        pods: o.pods ?? ['a2', 'b1'],
        loadBalancerIPs: [lb(number, 4), lb(number, 6)],
        externalIPs: [external(number, 4), external(number, 6)],
        ...(o.nodePorts ? { nodePorts: o.nodePorts } : {}),
      });
      const spec = (objects[0] as KubeObject).spec as Record<string, unknown>;
      if (ranges) spec.loadBalancerSourceRanges = ranges;
      return objects;
    }

    beforeAll(async () => {
      cluster = await Cluster.start({ box: { xdp: xdp === 'force' }, agentArgs: [`--xdp=${xdp}`] });
      const { box } = cluster;
      await routeToNode(box, 'node1');
      cluster.apply('20-services', [
        // The second of the outside client's addresses, with the white space that kube-proxy takes.
        ...service(1, [` ${box.outside.addresses4[1]}/32`, `${box.outside.addresses6[1]}/128 `], {
          nodePorts: NODE_PORT,
        }),
        // One family only.
        ...service(2, [`${box.outside.addresses4[1]}/32`]),
        // A pod, and the nodes.
        ...service(3, [
          `${box.pod('a1').ipv4}/32`,
          `${box.pod('a1').ipv6}/128`,
          '172.30.0.11/32',
          'fd00:30::11/128',
        ]),
        // Nothing that can be parsed.
        ...service(4, ['nonsense', '300.1.2.3/8']),
        ...service(5, ['0.0.0.0/0', '::/0']),
        ...service(6, [`${box.outside.addresses4[1]}/32`, `${box.outside.addresses6[1]}/128`], { pods: [] }),
      ]);
      for (const number of [1, 2, 3, 4, 5]) await cluster.reachable('a1', endpoint(`10.96.1.${number}`, 80));
      await cluster.reachable('outside', endpoint(lb(5, 6), 80));
    });
    afterAll(() => cluster?.close());

    /** 'ok', or what TCP and UDP both say. */
    async function visit(from: string, ip: string, o: { source?: string; tcp?: number; udp?: number } = {}) {
      const place = cluster.box.where(from);
      const source = o.source ? { source: o.source } : {};
      const [tcp, udp] = await Promise.all([
        tcpClient(place, endpoint(ip, o.tcp ?? 80), { count: 1, timeoutMs: 400, ...source }),
        udpClient(place, endpoint(ip, o.udp ?? 53), { count: 1, timeoutMs: 400, connected: true, ...source }),
      ]);
      return [tcp, udp].map((r) => (r.ok ? 'ok' : (Object.keys(r.errors)[0] as string)));
    }

    const OK = ['ok', 'ok'];
    const SILENT = ['ETIMEDOUT', 'ETIMEDOUT'];

    for (const family of FAMILIES) {
      it(`guards the load-balancer IP by the client's address, IPv${family}`, async () => {
        const { outside } = cluster.box;
        const [denied, allowed] = family === 4 ? outside.addresses4 : outside.addresses6;
        expect(await visit('outside', lb(1, family), { source: allowed as string })).toEqual(OK);
        expect(await visit('outside', lb(1, family), { source: denied as string })).toEqual(SILENT);
        const { drops } = await cluster.shunt<{ drops: Record<string, number> }>('node1', ['status']);
        expect(drops.source_range).toBeGreaterThan(0);
      });

      it(`guards neither cluster IP nor NodePort nor external IP, IPv${family}`, async () => {
        const node1 = addressOf(cluster.box.node('node1'), family);
        const clusterIp = family === 4 ? '10.96.1.1' : 'fd00:96::1:1';
        expect(await visit('a1', clusterIp)).toEqual(OK);
        expect(await visit('outside', clusterIp)).toEqual(OK);
        expect(await visit('outside', external(1, family))).toEqual(OK);
        expect(await visit('outside', node1, NODE_PORT)).toEqual(OK);
      });

      it(`holds for pods too, and lets the node pass when a range has it, IPv${family}`, async () => {
        expect(await visit('a1', lb(3, family))).toEqual(OK);
        expect(await visit('a2', lb(3, family))).toEqual(SILENT);
        expect(await visit('a1', lb(1, family))).toEqual(SILENT);
        expect(await visit('node1', lb(3, family))).toEqual(OK);
        const [tcp] = await visit('node1', lb(1, family));
        expect(tcp).toBe('ETIMEDOUT');
        expect(await visit('outside', lb(3, family))).toEqual(SILENT);
      });

      it(`a list that nothing can be read of denies everybody, a /0 nobody, IPv${family}`, async () => {
        expect(await visit('outside', lb(4, family))).toEqual(SILENT);
        expect(await visit('a1', lb(4, family))).toEqual(SILENT);
        expect(await visit('outside', lb(5, family))).toEqual(OK);
      });

      it(`a disallowed client of a Service without endpoints hears nothing, others a refusal, IPv${family}`, async () => {
        const { outside } = cluster.box;
        const [denied, allowed] = family === 4 ? outside.addresses4 : outside.addresses6;
        expect(await visit('outside', lb(6, family), { source: denied as string })).toEqual(SILENT);
        expect(await visit('outside', lb(6, family), { source: allowed as string })).toEqual([
          'ECONNREFUSED',
          'ECONNREFUSED',
        ]);
      });
    }

    it('is filtered by family: a family with no range left is open', async () => {
      const { outside } = cluster.box;
      expect(await visit('outside', lb(2, 4), { source: outside.addresses4[0] as string })).toEqual(SILENT);
      expect(await visit('outside', lb(2, 4), { source: outside.addresses4[1] as string })).toEqual(OK);
      expect(await visit('outside', lb(2, 6), { source: outside.addresses6[0] as string })).toEqual(OK);
    });

    it('lets the node pass with the load-balancer IP as its own source', async () => {
      const { box } = cluster;
      const nodes = ['172.30.0.11/32', 'fd00:30::11/128'];
      // On this node: a bound socket keeps its source, and an answer from elsewhere goes where routing sends it.
      cluster.apply('31-own', service(8, nodes, { pods: ['a2'] }));
      cluster.apply('32-closed', service(9, ['203.0.113.0/24', '2001:db8:9::/64'], { pods: ['a2'] }));
      for (const number of [8, 9]) await cluster.reachable('node1', endpoint(`10.96.1.${number}`, 80));
      for (const family of FAMILIES) {
        const own = lb(8, family);
        const length = family === 4 ? 32 : 128;
        await box.exec('node1', ['ip', 'addr', 'add', `${own}/${length}`, 'dev', 'lo']);
        // A connected UDP socket is served once the agent has seen the address.
        await eventually('the address', async () =>
          (await visit('node1', own, { source: own })).every((result) => result === 'ok'),
        );
        expect(await visit('node1', own, { source: own })).toEqual(OK);
        // Where no range has an address of the node its own address changes nothing.
        await box.exec('node1', ['ip', 'addr', 'add', `${lb(9, family)}/${length}`, 'dev', 'lo']);
        const [tcp] = await visit('node1', lb(9, family), { source: lb(9, family) });
        expect(tcp).not.toBe('ok');
        for (const ip of [own, lb(9, family)])
          await box.exec('node1', ['ip', 'addr', 'del', `${ip}/${length}`, 'dev', 'lo']);
      }
      for (const file of ['31-own', '32-closed']) cluster.apply(file, []);
    });

    it('reports ranges that cannot be read', () => {
      expect(cluster.agent('node1').log).toMatch(/loadBalancerSourceRanges/);
      expect(cluster.agent('node1').log).toMatch(/nonsense/);
    });

    it('follows a change of the list; a connection that is open goes on', async () => {
      const { outside } = cluster.box;
      const client = outside.addresses4[0] as string;
      expect((await visit('outside', lb(7, 4)))[0]).not.toBe('ok');
      cluster.apply('30-changing', service(7, [`${client}/32`]));
      await eventually('the client to be let in', async () => (await visit('outside', lb(7, 4)))[0] === 'ok');
      cluster.apply('30-changing', service(7, ['203.0.113.0/24']));
      await eventually(
        'the client to be shut out',
        async () => (await visit('outside', lb(7, 4)))[0] === 'ETIMEDOUT',
      );
      cluster.apply('30-changing', []);
    });
  },
);
