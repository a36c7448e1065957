import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Box,
  createBox,
  endpoint,
  forgeChecksums,
  startCapture,
  tcpClient,
  transfer,
  udpClient,
} from '../../box/index.js';

const families = ['ipv4', 'ipv6'] as const;

describe.each([
  ['routed box', { mode: 'routed' }],
  ['flannel box', { mode: 'flannel' }],
  ['routed box ready for XDP', { mode: 'routed', xdp: true }],
] as const)('captures in a %s with tx offload off', (_, options) => {
  let box: Box;
  beforeAll(async () => {
    box = await createBox({ ...options, txOffload: 'off' });
    await Promise.all(['a2', 'b1', 'node2'].map((name) => box.serve(name)));
  });
  afterAll(() => box?.close());

  it.each(families)('a receiver sees no wrong checksum over %s', async (family) => {
    const capture = await startCapture(box.pod('b1'));
    const address = box.pod('b1')[family];
    for (const from of ['a1', 'b2', 'node1', 'node2', 'outside']) {
      const place = box.where(from);
      await tcpClient(place, endpoint(address, 8080), { count: 5 });
      await udpClient(place, endpoint(address, 9000), { count: 5 });
      await udpClient(place, endpoint(address, 1)); // an ICMP error
    }
    const sent = { bytes: 50_000_000, direction: 'send' } as const;
    expect((await transfer(box.pod('a1'), endpoint(address, 8080), sent)).ok).toBe(true);
    const { bad, checkedByProtocol, cut, dropped } = await capture.stop();
    expect(bad).toEqual([]);
    expect({ cut, dropped }).toEqual({ cut: 0, dropped: 0 });
    expect(checkedByProtocol.tcp).toBeGreaterThan(100);
    expect(checkedByProtocol.udp).toBeGreaterThan(40);
    expect(checkedByProtocol[family === 'ipv4' ? 'icmp' : 'icmpv6']).toBeGreaterThan(0);
    if (family === 'ipv4') expect(checkedByProtocol['quoted ipv4']).toBeGreaterThan(0);
  });

  it.each(families)('a forged checksum is found on the way and at the receiver over %s', async (family) => {
    for (const protocol of ['udp', 'tcp'] as const) {
      const captures = await Promise.all([
        startCapture(box.pod('b1')),
        startCapture(box.node('node1'), { direction: 'out' }),
      ]);
      const to = endpoint(box.pod('b1')[family], 8080);
      expect(await forgeChecksums(box.pod('a1'), to, { protocol, count: 3 })).toBe(3);
      await tcpClient(box.pod('a1'), to);
      for (const capture of captures) {
        const { bad, checked } = await capture.stop();
        const seen = bad.map((b) => ({ protocol: b.protocol, carried: b.carried }));
        expect(seen).toEqual(Array(3).fill({ protocol, carried: 0xbad1 }));
        expect(checked).toBeGreaterThan(6);
      }
    }
  });
});

describe('offload settings', () => {
  it('are applied to every veth end of the box', async () => {
    await using box = await createBox({ xdp: true, mtu: 9000 });
    await box.addPod({ name: 'late', node: 'node1' });
    const ends: [string, string][] = [
      ['outside', 'eth0'],
      ['switch', 'p-outside'],
    ];
    for (const node of box.nodes.values()) ends.push([node.name, 'eth0'], ['switch', `p-${node.name}`]);
    for (const pod of box.pods.values()) ends.push([pod.name, 'eth0'], [pod.node, pod.hostInterface]);
    expect(ends).toHaveLength(16);
    for (const [where, device] of ends) {
      const { stdout } = await box.exec(where, ['ethtool', '-k', device]);
      expect(stdout).toContain('tx-checksumming: off');
      expect(stdout).toContain('generic-receive-offload: on');
    }
    // GRO alone does not wake a veth whose peer sends by XDP_TX: its port must have a program.
    for (const node of box.nodes.keys()) {
      const { stdout } = await box.exec('switch', ['ip', '-d', 'link', 'show', `p-${node}`]);
      expect(stdout).toMatch(/prog\/xdp id \d+ name box_pass/);
    }
  });

  it('stay as the kernel has them by default', async () => {
    await using box = await createBox({ nodes: 1 });
    const { stdout } = await box.exec('a1', ['ethtool', '-k', 'eth0']);
    expect(stdout).toContain('tx-checksumming: on');
    expect(stdout).toContain('generic-receive-offload: off');
  });
});
