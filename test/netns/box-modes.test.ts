import { describe, expect, it } from 'vitest';
import {
  type Box,
  createBox,
  endpoint,
  startCapture,
  tcpClient,
  transfer,
  udpClient,
} from '../../box/index.js';

const families = ['ipv4', 'ipv6'] as const;

/** TCP and UDP over both families between every pair that matters; returns who saw which client address. */
async function expectReachable(box: Box, pairs: [string, string][]): Promise<void> {
  for (const [from, to] of pairs) {
    for (const family of families) {
      const address = (to.startsWith('node') ? box.node(to) : box.pod(to))[family];
      const tcp = await tcpClient(box.where(from), endpoint(address, 8080), { count: 5 });
      expect(tcp, `${from} -> ${to} ${family} tcp`).toMatchObject({ ok: 5, failed: 0 });
      const udp = await udpClient(box.where(from), endpoint(address, 9000), { count: 5 });
      expect(udp, `${from} -> ${to} ${family} udp`).toMatchObject({ ok: 5, failed: 0 });
    }
  }
}

const pairs: [string, string][] = [
  ['a1', 'a2'],
  ['a1', 'b1'],
  ['b2', 'node1'],
  ['node1', 'a1'],
  ['node1', 'b1'],
  ['outside', 'node2'],
  ['outside', 'b1'],
];

async function serveAll(box: Box): Promise<void> {
  await Promise.all([...box.pods.values(), ...box.nodes.values()].map((place) => box.serve(place)));
}

describe.each(['bridge', 'vxlan', 'flannel', 'tunnel'] as const)('a box of mode %s', (mode) => {
  it('carries TCP, UDP and 10 MB between all places', async () => {
    await using box = await createBox({ mode });
    await serveAll(box);
    await expectReachable(box, pairs);
    for (const family of families) {
      const to = endpoint(box.pod('b1')[family], 8080);
      const sent = await transfer(box.pod('a1'), to, { bytes: 10_000_000, direction: 'send' });
      expect(sent.ok).toBe(true);
    }
    const late = await box.addPod({ name: 'late', node: 'node2' });
    await box.serve(late);
    await expectReachable(box, [['a1', 'late']]);
  });
});

describe('vxlan', () => {
  it('wraps what goes between the nodes and leaves the pods 50 bytes less', async () => {
    await using box = await createBox({ mode: 'vxlan' });
    await box.serve('b1');
    const capture = await startCapture(box.node('node2'), { filter: 'udp port 8472', direction: 'in' });
    await tcpClient(box.pod('a1'), endpoint(box.pod('b1').ipv6, 8080));
    expect((await capture.stop()).packets.length).toBeGreaterThanOrEqual(4);
    const { stdout } = await box.exec('a1', ['ip', '-o', 'link', 'show', 'eth0']);
    expect(stdout).toContain('mtu 1450');
  });
});

describe.each(['routed', 'flannel'] as const)('netfilter in a %s box', (mode) => {
  it('lets traffic pass with conntrack, INVALID drop, masquerade, FORWARD drop and rp_filter 1 together', async () => {
    await using box = await createBox({
      mode,
      rpFilter: 1,
      netfilter: ['conntrack', 'invalidDrop', 'masquerade', 'forwardDrop'],
      bridgeNfCallIptables: 1,
    });
    await serveAll(box);
    await expectReachable(box, pairs);
    const { stdout } = await box.exec('node1', ['conntrack', '-L']);
    expect(stdout).toContain('dst=10.244.');
    const rules = await box.exec('node1', ['iptables-save']);
    expect(rules.stdout).toContain(':FORWARD DROP');
    expect(rules.stdout).toMatch(/! -s 10\.244\.0\.0\/16 -d 10\.244\.0\.0\/16 -j MASQUERADE --random-fully/);
    expect((await box.exec('node1', ['cat', '/proc/sys/net/ipv4/conf/eth0/rp_filter'])).stdout).toBe('1\n');
  });

  it.each(families)('masquerade hides pods from outside and only from there, over %s', async (family) => {
    await using box = await createBox({ mode, netfilter: ['masquerade'] });
    await Promise.all([box.serve('outside'), box.serve('b1')]);
    const leaving = await tcpClient(box.pod('a1'), endpoint(box.outside[family], 8080), { count: 3 });
    expect(leaving.peers).toEqual({ [box.node('node1')[family]]: 3 });
    const staying = await tcpClient(box.pod('a1'), endpoint(box.pod('b1')[family], 8080), { count: 3 });
    expect(staying.peers).toEqual({ [box.pod('a1')[family]]: 3 });
  });

  it('can be given to one node only', async () => {
    await using box = await createBox({ mode, netfilter: { node1: ['invalidDrop'] } });
    const rules = (node: string) => box.exec(node, ['nft', 'list', 'ruleset']);
    expect((await rules('node1')).stdout).toContain('ct state invalid');
    expect((await rules('node2')).stdout.trim()).toBe('');
  });
});

describe('forwardDrop', () => {
  it('drops what is not of the pod network', async () => {
    await using box = await createBox({ netfilter: ['forwardDrop'] });
    await box.serve('node2');
    await box.exec('outside', ['ip', 'route', 'add', '172.31.0.1/32', 'via', box.node('node1').ipv4]);
    await box.exec('node1', ['ip', 'route', 'add', '172.31.0.1/32', 'via', box.node('node2').ipv4]);
    await box.exec('node2', ['ip', 'addr', 'add', '172.31.0.1/32', 'dev', 'lo']);
    const report = await tcpClient(box.outside, '172.31.0.1:8080', { timeoutMs: 300 });
    expect(report.errors).toEqual({ ETIMEDOUT: 1 });
  });
});

describe('options', () => {
  it('build as many nodes and as large an MTU as asked for', async () => {
    await using box = await createBox({ nodes: 3, mtu: 9000, pods: [{ name: 'x', node: 'node3' }] });
    await box.serve('x');
    expect((await tcpClient(box.node('node1'), endpoint(box.pod('x').ipv6, 8080))).ok).toBe(1);
    expect((await box.exec('x', ['ip', 'link', 'show', 'eth0'])).stdout).toContain('mtu 9000');
  });

  it.each([
    [{ nodes: 0 }, /nodes is 0/],
    [{ pods: [{ name: 'x', node: 'node7' }] }, /no node node7/],
    [{ pods: [{ name: 'node1', node: 'node1' }] }, /name is taken/],
    [{ pods: [{ name: 'twelveletters', node: 'node1' }] }, /not 1-11/],
  ])('%j is refused before anything is made', async (options, message) => {
    await expect(createBox(options)).rejects.toThrow(message);
  });
});
