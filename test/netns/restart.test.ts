import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectSteadily, endpoint, holdConnections, sendSteadily, tcpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { FAMILIES, type StandardService, standardService } from '../support/cluster/standard.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };

describe('the agent dies and another takes over', () => {
  let cluster: Cluster;
  let service: StandardService;

  beforeAll(async () => {
    cluster = await Cluster.start();
    service = standardService(cluster.box, {
      name: 'web',
      number: 1,
      pods: ['a2', 'b1', 'b2'],
      nodePorts: NODE_PORT,
    });
    cluster.apply('20-services', service.objects);
    await cluster.reachable('a1', service.tcp[6]);
    await cluster.reachable('outside', endpoint(cluster.box.node('node1').ipv6, NODE_PORT.tcp));
  });
  afterAll(() => cluster?.close());

  it('serves new connections while no agent runs, and its state can be read', async () => {
    await cluster.agent('node1').kill('SIGKILL');
    for (const family of FAMILIES) {
      const report = await tcpClient(cluster.box.pod('a1'), service.tcp[family], {
        count: 100,
        concurrency: 4,
      });
      expect(report).toMatchObject({ ok: 100, failed: 0 });
    }
    const frontends = await cluster.shunt<unknown[]>('node1', ['services']);
    expect(frontends.length).toBeGreaterThan(0);
    await cluster.startAgent('node1');
  });

  it('loses no connection of a running load over kill -9 and take-over, three times', async () => {
    const { box } = cluster;
    const nodePort = endpoint(box.node('node1').ipv4, NODE_PORT.tcp);
    const loads = await Promise.all([
      holdConnections(box.pod('a1'), service.tcp[4], { count: 40, seconds: 60, intervalMs: 20 }),
      holdConnections(box.outside, nodePort, { count: 40, seconds: 60, intervalMs: 20 }),
      holdConnections(box.node('node1'), service.tcp[6], { count: 20, seconds: 60, intervalMs: 20 }),
    ]);
    const steady = [
      connectSteadily(box.pod('a1'), service.tcp[6], { seconds: 60 }),
      connectSteadily(box.outside, nodePort, { seconds: 60 }),
      sendSteadily(box.pod('a1'), service.udp[4], { seconds: 60 }),
    ];
    for (let i = 0; i < 3; i++) {
      await cluster.agent('node1').kill('SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 500));
      await cluster.startAgent('node1');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    for (const load of loads) {
      const report = await load.stop();
      expect(report).toMatchObject({ failed: 0, errors: {} });
      expect(report.alive).toBe(report.opened);
      expect(report.ok).toBeGreaterThan(100);
    }
    for (const load of await Promise.all(steady)) {
      const report = await load.stop();
      expect(report).toMatchObject({ failed: 0, errors: {} });
      expect(report.ok).toBeGreaterThan(100);
    }
  });

  it('leaves flows alone when their Service is deleted, and the address can be used again', async () => {
    const held = await holdConnections(cluster.box.pod('a1'), service.tcp[4], {
      count: 10,
      seconds: 30,
      intervalMs: 50,
    });
    cluster.apply('20-services', []);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const refused = await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 1, timeoutMs: 500 });
    expect(refused.ok).toBe(0);
    cluster.apply('20-services', service.objects);
    await cluster.reachable('a1', service.tcp[4]);
    const report = await held.stop();
    expect(report).toMatchObject({ failed: 0, errors: {} });
    expect(report.alive).toBe(10);
  });
});
