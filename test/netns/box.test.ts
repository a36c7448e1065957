import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Box, createBox, endpoint, tcpClient, transfer, udpClient } from '../../box/index.js';

describe('a routed box', () => {
  let box: Box;
  let took = 0;
  beforeAll(async () => {
    const start = performance.now();
    box = await createBox();
    took = performance.now() - start;
    await Promise.all([...box.pods.values(), ...box.nodes.values()].map((place) => box.serve(place)));
  });
  afterAll(() => box?.close());

  it('is built fast', () => {
    console.log(took);
    expect(took).toBeLessThan(2000);
  });

  const paths: [string, string, string][] = [
    ['pod to pod of the same node', 'a1', 'a2'],
    ['pod to pod of the other node', 'a1', 'b1'],
    ['pod to the server in a node of its own', 'a1', 'node1'],
    ['pod to the other node', 'a1', 'node2'],
    ['node to its pod', 'node1', 'a1'],
    ['node to a pod of the other node', 'node1', 'b1'],
    ['outside to a node', 'outside', 'node2'],
    ['outside to a pod', 'outside', 'b2'],
  ];
  describe.each(paths)('%s', (_, from, to) => {
    it.each(['ipv4', 'ipv6'] as const)('carries TCP and UDP over %s', async (family) => {
      const place = box.where(from);
      const target = (to.startsWith('node') ? box.node(to) : box.pod(to))[family];
      const tcp = await tcpClient(place, endpoint(target, 8080), { count: 20, concurrency: 4 });
      expect(tcp).toMatchObject({ ok: 20, failed: 0, byServer: { [to]: 20 } });
      const udp = await udpClient(place, endpoint(target, 9000), { count: 20 });
      expect(udp).toMatchObject({ ok: 20, failed: 0, byServer: { [to]: 20 } });
    });
  });
});
