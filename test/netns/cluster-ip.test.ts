import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tcpClient, udpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import {
  addressOf,
  FAMILIES,
  type StandardService,
  shares,
  standardService,
} from '../support/cluster/standard.js';

// a1 is the client; three backends on two nodes.
const BACKENDS = ['a2', 'b1', 'b2'];

describe('a pod reaches a cluster IP (SEMANTICS 5, 7)', () => {
  let cluster: Cluster;
  let service: StandardService;
  let own: StandardService;
  let empty: StandardService;

  beforeAll(async () => {
    cluster = await Cluster.start();
    service = standardService(cluster.box, { name: 'web', number: 1, pods: BACKENDS });
    own = standardService(cluster.box, { name: 'self', number: 2, pods: ['a1'] });
    empty = standardService(cluster.box, { name: 'empty', number: 3, pods: [] });
    cluster.apply('20-services', [...service.objects, ...own.objects, ...empty.objects]);
    const agents = [...cluster.agents.values()];
    await Promise.all(agents.map(async () => cluster.reachable('a1', service.tcp[6])));
  });
  afterAll(() => cluster?.close());

  for (const family of FAMILIES) {
    it(`spreads 1,000 new TCP connections over three backends on two nodes, IPv${family}`, async () => {
      const client = cluster.box.pod('a1');
      const report = await tcpClient(client, service.tcp[family], { count: 1000, concurrency: 8 });
      expect(report).toMatchObject({ ok: 1000, failed: 0 });
      const share = shares(report.byServer);
      console.log(`1,000 connections, IPv${family}, percent: ${JSON.stringify(share)}`);
      expect(Object.keys(share).sort()).toEqual(BACKENDS);
      for (const percent of Object.values(share)) {
        expect(percent).toBeGreaterThanOrEqual(23);
        expect(percent).toBeLessThanOrEqual(43);
      }
      // The backend sees the pod itself, the pod sees the cluster IP.
      expect(report.peers).toEqual({ [addressOf(client, family)]: 1000 });
      expect(report.peerName).toEqual({ [service.tcp[family]]: 1000 });
    });

    it(`spreads UDP datagrams of new sockets and answers from the cluster IP, IPv${family}`, async () => {
      const client = cluster.box.pod('a1');
      const report = await udpClient(client, service.udp[family], { count: 300 });
      expect(report).toMatchObject({ ok: 300, failed: 0 });
      expect(Object.keys(report.byServer).sort()).toEqual(BACKENDS);
      expect(report.peers).toEqual({ [addressOf(client, family)]: 300 });
      expect(report.peerName).toEqual({ [service.udp[family]]: 300 });
    });

    it(`keeps the datagrams of one socket on one backend, IPv${family}`, async () => {
      const report = await udpClient(cluster.box.pod('a1'), service.udp[family], {
        count: 50,
        oneSocket: true,
      });
      expect(report).toMatchObject({ ok: 50, failed: 0 });
      expect(Object.keys(report.byServer)).toHaveLength(1);
    });

    it(`lets a pod reach itself through its own Service, IPv${family}`, async () => {
      const tcp = await tcpClient(cluster.box.pod('a1'), own.tcp[family], { count: 50 });
      expect(tcp).toMatchObject({ ok: 50, failed: 0, byServer: { a1: 50 } });
      const udp = await udpClient(cluster.box.pod('a1'), own.udp[family], { count: 50 });
      expect(udp).toMatchObject({ ok: 50, failed: 0, byServer: { a1: 50 } });
    });

    it(`refuses at once where nobody can answer, IPv${family}`, async () => {
      const tcp = await tcpClient(cluster.box.pod('a1'), empty.tcp[family], { count: 3 });
      expect(tcp.errors).toEqual({ ECONNREFUSED: 3 });
      expect(tcp.lastFailureMs).toBeLessThan(1000);
      const udp = await udpClient(cluster.box.pod('a1'), empty.udp[family], { count: 3, connected: true });
      expect(udp.errors).toEqual({ ECONNREFUSED: 3 });
    });

    it(`refuses a port that the cluster IP's Services do not have, IPv${family}`, async () => {
      const to = service.tcp[family].replace(/:80$/, ':81');
      const report = await tcpClient(cluster.box.pod('a1'), to, { count: 2 });
      expect(report.errors).toEqual({ ECONNREFUSED: 2 });
    });
  }

  it('leaves direct traffic between pods alone', async () => {
    for (const family of FAMILIES) {
      const target = addressOf(cluster.box.pod('b1'), family);
      const to = family === 6 ? `[${target}]:8080` : `${target}:8080`;
      expect(await tcpClient(cluster.box.pod('a1'), to, { count: 20 })).toMatchObject({
        ok: 20,
        byServer: { b1: 20 },
      });
    }
  });
});
