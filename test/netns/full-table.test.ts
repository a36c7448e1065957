import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdConnections, tcpClient } from '../../box/index.js';
import { Cluster } from '../support/cluster/cluster.js';
import { FAMILIES, type StandardService, standardService } from '../support/cluster/standard.js';

const MAX_FLOWS = 256;
const ROUNDS = 24;
const CONNECTIONS = 10;

interface Status {
  drops: Record<string, number>;
}

describe('while no agent sweeps the table of connections', () => {
  let cluster: Cluster;
  let service: StandardService;

  beforeAll(async () => {
    cluster = await Cluster.start({ agentArgs: ['--max-flows', String(MAX_FLOWS)] });
    service = standardService(cluster.box, { name: 'web', number: 1, pods: ['a2', 'b1', 'b2'] });
    cluster.apply('20-services', service.objects);
    await cluster.reachable('a1', service.tcp[6]);
  });
  afterAll(() => cluster?.close());

  it('those that have ended make room for new ones, and those that live stay', async () => {
    await cluster.agent('node1').kill('SIGKILL');
    const client = cluster.box.pod('a1');
    const held = await holdConnections(client, service.tcp[4], { count: 20, seconds: 60, intervalMs: 50 });
    let ok = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const to = service.tcp[FAMILIES[round % FAMILIES.length] ?? 4];
      const report = await tcpClient(client, to, { count: CONNECTIONS });
      expect(report, `round ${round}`).toMatchObject({ failed: 0, errors: {} });
      ok += report.ok;
      await new Promise((resolve) => setTimeout(resolve, 450));
    }
    // Two entries each: nearly twice what the table can hold.
    expect(ok).toBe(ROUNDS * CONNECTIONS);
    const flows = await cluster.shunt<unknown[]>('node1', ['maps', 'ct_flows']);
    expect(flows.length).toBeLessThanOrEqual(MAX_FLOWS);
    expect(flows.length).toBeGreaterThan(MAX_FLOWS / 4);
    const status = await cluster.shunt<Status>('node1', ['status']);
    expect(status.drops.flow_table_full ?? 0).toBe(0);
    const report = await held.stop();
    expect(report).toMatchObject({ alive: 20, failed: 0, errors: {} });
  });
});
