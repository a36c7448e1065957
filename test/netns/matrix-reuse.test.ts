import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tcpClient, udpClient } from '../../box/index.js';
import { PLAIN } from '../support/cluster/matrix.js';
import { MatrixCluster } from '../support/cluster/matrix-run.js';
import { addressOf, FAMILIES } from '../support/cluster/standard.js';

// A client's port goes first to a frontend whose traffic is masqueraded, then to one that keeps the source, both
// with the same backend: what the first flow left behind must not rewrite the second (SEMANTICS 6, 7).
describe('what a masqueraded flow left behind', () => {
  let matrix: MatrixCluster;

  beforeAll(async () => {
    matrix = await MatrixCluster.start({ ...PLAIN, masqueradeAll: true });
  });
  afterAll(() => matrix?.close());

  for (const family of FAMILIES) {
    for (const protocol of ['TCP', 'UDP'] as const) {
      it(`the client's port reused for a frontend that keeps the source, ${protocol}, IPv${family}`, async () => {
        const { box } = matrix.cluster;
        const client = box.pod('a1');
        const own = addressOf(client, family);
        const masqueraded = { frontend: 'ClusterIP', policy: 'Cluster' } as const;
        const kept = { frontend: 'LoadBalancer', policy: 'Local' } as const;
        const run = protocol === 'TCP' ? tcpClient : udpClient;
        for (let sourcePort = 41_000; sourcePort < 41_005; sourcePort++) {
          const row = { protocol, family, backend: 'here' } as const;
          const first = await run(client, matrix.target({ ...masqueraded, ...row }), { sourcePort });
          expect(first).toMatchObject({ ok: 1, failed: 0 });
          expect(first.peers).not.toHaveProperty([own]);
          const second = await run(client, matrix.target({ ...kept, ...row }), { sourcePort });
          expect(second).toMatchObject({ ok: 1, failed: 0, peers: { [own]: 1 } });
        }
      });
    }
  }
});

// A MASQUERADE rule takes any port of the node, so also one that SNAT of ours used shortly before with the same
// backend: the answer is not for the client of then (ARCHITECTURE 5).
describe("ports that a MASQUERADE rule takes after Shunt's SNAT", () => {
  let matrix: MatrixCluster;

  beforeAll(async () => {
    matrix = await MatrixCluster.start({ ...PLAIN, netfilter: ['masquerade'] });
  });
  afterAll(() => matrix?.close());

  for (const family of FAMILIES) {
    it(`connections of the node get their answers, IPv${family}`, async () => {
      const { box } = matrix.cluster;
      const row = { protocol: 'TCP', family, policy: 'Cluster', backend: 'elsewhere' } as const;
      const nodePort = matrix.target({ frontend: 'NodePort', ...row });
      const before = await tcpClient(box.outside, nodePort, { count: 4000, concurrency: 16 });
      expect(before).toMatchObject({ ok: 4000, failed: 0 });
      // 4,000 of 64,512 ports: without care 18 of these 300 would fail.
      const clusterIp = matrix.target({ frontend: 'ClusterIP', ...row });
      const report = await tcpClient(box.node('node1'), clusterIp, { count: 300, concurrency: 8 });
      expect(report).toMatchObject({ ok: 300, failed: 0 });
    });
  }
});
