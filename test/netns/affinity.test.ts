import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tcpClient, udpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { FAMILIES, type StandardService, standardService } from '../support/cluster/standard.js';

const TIMEOUT_S = 2;

describe('session affinity by client address (SEMANTICS 5)', () => {
  let cluster: Cluster;
  let sticky: StandardService;

  beforeAll(async () => {
    cluster = await Cluster.start();
    sticky = sticky3(['a2', 'b1', 'b2']);
    cluster.apply('20-services', sticky.objects);
    await cluster.reachable('a1', sticky.tcp[6]);
  });
  afterAll(() => cluster?.close());

  function sticky3(pods: string[]): StandardService {
    return standardService(cluster.box, { name: 'sticky', number: 1, pods, affinitySeconds: TIMEOUT_S });
  }

  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  for (const family of FAMILIES) {
    it(`leads 100 connections of one client to one backend, IPv${family}`, async () => {
      const report = await tcpClient(cluster.box.pod('a1'), sticky.tcp[family], { count: 100 });
      expect(report).toMatchObject({ ok: 100, failed: 0 });
      expect(Object.keys(report.byServer)).toHaveLength(1);
    });

    it(`holds for UDP, IPv${family}`, async () => {
      const report = await udpClient(cluster.box.pod('a1'), sticky.udp[family], { count: 100 });
      expect(report).toMatchObject({ ok: 100, failed: 0 });
      expect(Object.keys(report.byServer)).toHaveLength(1);
    });

    it(`holds for this node's own sockets, IPv${family}`, async () => {
      const report = await tcpClient(cluster.box.node('node1'), sticky.tcp[family], { count: 100 });
      expect(report).toMatchObject({ ok: 100, failed: 0 });
      expect(Object.keys(report.byServer)).toHaveLength(1);
    });
  }

  it('may choose another backend after the timeout', async () => {
    const seen = new Set<string>();
    // Twelve independent choices among three: all alike with a chance of 3^-11.
    for (let i = 0; i < 12 && seen.size < 2; i++) {
      const report = await tcpClient(cluster.box.pod('a1'), sticky.tcp[4], { count: 3 });
      const [server, ...others] = Object.keys(report.byServer);
      expect(others).toEqual([]);
      seen.add(server as string);
      await sleep(TIMEOUT_S * 1000 + 200);
    }
    expect(seen.size).toBeGreaterThan(1);
  });

  it('leaves a backend that is no longer usable at once', async () => {
    const before = await tcpClient(cluster.box.pod('a1'), sticky.tcp[4], { count: 1 });
    const gone = Object.keys(before.byServer)[0] as string;
    cluster.apply('20-services', sticky3(['a2', 'b1', 'b2'].filter((pod) => pod !== gone)).objects);
    await eventually(`${gone} to be left`, async () => {
      const report = await tcpClient(cluster.box.pod('a1'), sticky.tcp[4], { count: 1 });
      expect(report.failed).toBe(0);
      return !report.byServer[gone];
    });
    const after = await tcpClient(cluster.box.pod('a1'), sticky.tcp[4], { count: 50 });
    expect(after).toMatchObject({ ok: 50, failed: 0 });
    expect(Object.keys(after.byServer)).toHaveLength(1);
    expect(after.byServer[gone]).toBeUndefined();
  });
});
