import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Box,
  BoxCommandError,
  createBox,
  endpoint,
  generateLoad,
  holdConnections,
  startCapture,
  tcpClient,
  transfer,
  udpClient,
} from '../../box/index.js';

const families = ['ipv4', 'ipv6'] as const;

/** Interfaces of the machine itself: a box must neither add nor change one. */
function machineLinks(): string {
  const text = execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' });
  return createHash('sha256').update(text).digest('hex');
}

describe('a routed box', () => {
  let box: Box;
  let buildMs = 0;
  let linksBefore = '';
  beforeAll(async () => {
    linksBefore = machineLinks();
    const start = performance.now();
    box = await createBox();
    buildMs = performance.now() - start;
    await Promise.all([...box.pods.values(), ...box.nodes.values()].map((place) => box.serve(place)));
  });
  afterAll(() => box?.close());

  it('is built in less than two seconds, away from the interfaces of the machine', () => {
    expect(buildMs).toBeLessThan(2000);
    expect(machineLinks()).toBe(linksBefore);
  });

  const paths: [string, string, string][] = [
    ['a pod to a pod of its node', 'a1', 'a2'],
    ['a pod to a pod of the other node', 'a1', 'b1'],
    ['a pod to its own node', 'a1', 'node1'],
    ['a pod to the other node', 'a1', 'node2'],
    ['a node to its pod', 'node1', 'a1'],
    ['a node to a pod of the other node', 'node1', 'b1'],
    ['outside to a node', 'outside', 'node2'],
    ['outside to a pod', 'outside', 'b2'],
  ];
  describe.each(paths)('from %s', (_, from, to) => {
    it.each(families)('TCP and UDP pass over %s', async (family) => {
      const target = (to.startsWith('node') ? box.node(to) : box.pod(to))[family];
      const tcp = await tcpClient(box.where(from), endpoint(target, 8080), { count: 20, concurrency: 4 });
      expect(tcp).toMatchObject({ ok: 20, failed: 0, byServer: { [to]: 20 }, locals: { [target]: 20 } });
      expect(tcp.peerName).toEqual({ [endpoint(target, 8080)]: 20 });
      const udp = await udpClient(box.where(from), endpoint(target, 9000), { count: 20 });
      expect(udp).toMatchObject({ ok: 20, failed: 0, byServer: { [to]: 20 }, locals: { [target]: 20 } });
      expect(udp.peerName).toEqual({ [endpoint(target, 9000)]: 20 });
    });
  });

  it.each(families)('a server sees the address that the client bound to, over %s', async (family) => {
    const addresses = family === 'ipv4' ? box.outside.addresses4 : box.outside.addresses6;
    const to = endpoint(box.node('node1')[family], 8080);
    const byItself = await tcpClient(box.outside, to, { count: 3 });
    expect(byItself.peers).toEqual({ [addresses[0] as string]: 3 });
    const source = addresses[2] as string;
    const bound = await tcpClient(box.outside, to, { count: 3, source, sourcePort: 40123, rst: true });
    expect(bound.peers).toEqual({ [source]: 3 });
  });

  it.each(families)(
    'a packet to a service address that nobody translates is refused by the router, over %s',
    async (family) => {
      const to = family === 'ipv4' ? '10.96.0.1:80' : '[fd00:96::1]:80';
      const report = await tcpClient(box.pod('a1'), to, { timeoutMs: 500 });
      expect(report).toMatchObject({ ok: 0, failed: 1, failedIn: { connect: 1 } });
    },
  );

  it.each(families)('a closed port is told by name and at once, over %s', async (family) => {
    const address = box.pod('b1')[family];
    const tcp = await tcpClient(box.pod('a1'), endpoint(address, 81), { count: 2 });
    expect(tcp).toMatchObject({ failed: 2, errors: { ECONNREFUSED: 2 }, failedIn: { connect: 2 } });
    expect(tcp.lastFailureMs).toBeLessThan(500);
    for (const connected of [true, false]) {
      const udp = await udpClient(box.pod('a1'), endpoint(address, 81), { connected });
      expect(udp).toMatchObject({ failed: 1, errors: { ECONNREFUSED: 1 } });
    }
  });

  it('a silent drop is told as a timeout after the limit', async () => {
    await box.exec('node2', [
      'nft',
      'add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c tcp dport 82 drop',
    ]);
    const report = await tcpClient(box.pod('a1'), endpoint(box.node('node2').ipv4, 82), { timeoutMs: 300 });
    await box.exec('node2', ['nft', 'delete table inet t']);
    expect(report).toMatchObject({ failed: 1, errors: { ETIMEDOUT: 1 } });
    expect(report.firstFailureMs).toBeGreaterThan(250);
  });

  it.each(families)('50 MB arrive intact in both directions over %s', async (family) => {
    const to = endpoint(box.pod('b1')[family], 8080);
    for (const direction of ['send', 'receive'] as const) {
      const report = await transfer(box.pod('a1'), to, { bytes: 50_000_000, direction });
      expect(report).toMatchObject({ ok: true, error: null, hash: report.expected });
      expect(direction === 'receive' ? report.bytes : 50_000_000).toBe(50_000_000);
    }
  });

  it.each(families)('datagrams larger than the MTU pass in fragments over %s', async (family) => {
    const to = endpoint(box.pod('b1')[family], 9000);
    const report = await udpClient(box.pod('a1'), to, { count: 5, size: 9000, answerSize: 12_000 });
    expect(report).toMatchObject({ ok: 5, failed: 0 });
  });

  it('held connections are all alive at the end, and a broken one is reported', async () => {
    const server = await box.serve('a2', { name: 'short-lived', http: [8090], udp: [9090] });
    const to = endpoint(box.pod('a2').ipv4, 8090);
    const whole = await holdConnections(box.pod('a1'), to, { count: 10, seconds: 60, intervalMs: 5 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const good = await whole.stop();
    expect(good).toMatchObject({ opened: 10, alive: 10, failed: 0 });
    expect(good.ok).toBeGreaterThan(50);
    const broken = await holdConnections(box.pod('a1'), to, { count: 10, seconds: 60 });
    await server.stop('SIGKILL');
    const bad = await broken.wait();
    expect(bad).toMatchObject({ opened: 10, alive: 0, failed: 10 });
  });

  it.each(['tcp', 'udp'] as const)('the load generator reports rates of %s', async (protocol) => {
    const to = endpoint(box.pod('a2').ipv4, protocol === 'tcp' ? 8080 : 9000);
    for (const mode of ['crr', 'rr'] as const) {
      const load = await generateLoad(box.pod('a1'), to, { mode, protocol, seconds: 1, connections: 4 });
      expect(load).toMatchObject({ mode, protocol, errors: 0, errorNames: {} });
      expect(load.ops).toBeGreaterThan(500);
      expect(load.p99us).toBeGreaterThanOrEqual(load.p50us);
      expect(load.p50us).toBeGreaterThan(0);
    }
  });

  it('a process is in the cgroup of its place, pods below their node', async () => {
    for (const name of ['node1', 'a1', 'outside']) {
      const place = box.where(name);
      const { stdout } = await box.exec(name, ['cat', '/proc/self/cgroup']);
      const own = /^0::(.*)$/m.exec(stdout)?.[1] ?? '?';
      expect(place.cgroup.endsWith(own)).toBe(true);
    }
    expect(box.pod('a1').cgroup.startsWith(`${box.node('node1').cgroup}/`)).toBe(true);
  });

  it('every node has a directory of its own on a BPF file system', async () => {
    const types = await Promise.all(
      [...box.nodes.values()].map((node) => box.exec(node, ['stat', '-f', '-c', '%T', node.bpffs])),
    );
    expect(types.map((result) => result.stdout.trim())).toEqual(['bpf_fs', 'bpf_fs']);
    expect(box.node('node1').bpffs).not.toBe(box.node('node2').bpffs);
  });

  it('exec tells exit code and output of a failure, and ends what takes too long', async () => {
    const failing = box.exec('a1', ['sh', '-c', 'echo broken >&2; exit 3']);
    await expect(failing).rejects.toThrow(/exit code 3. broken/);
    const allowed = await box.exec('a1', ['sh', '-c', 'exit 3'], { allowFailure: true });
    expect(allowed.code).toBe(3);
    const slow = box.exec('a1', ['sleep', '60'], { timeoutMs: 100 });
    await expect(slow).rejects.toThrow(BoxCommandError);
    const given = await box.exec('a1', ['cat'], { input: 'through stdin' });
    expect(given.stdout).toBe('through stdin');
  });

  it('a pod can be added and removed while the box is up', async () => {
    const pod = await box.addPod({ name: 'late', node: 'node2' });
    const server = await box.serve('late');
    for (const family of families) {
      const report = await tcpClient(box.pod('a1'), endpoint(pod[family], 8080));
      expect(report.byServer).toEqual({ late: 1 });
    }
    await box.removePod('late');
    expect(server.running && (await server.exited).signal).not.toBe(null);
    const links = await box.exec('node2', ['ip', '-o', 'link']);
    expect(links.stdout).not.toContain('vethlate');
    expect(() => box.pod('late')).toThrow(/find pod late/);
  });

  it('two boxes with the same addresses are up at once and do not meet', async () => {
    await using other = await createBox();
    await other.serve('b1', { name: 'other-b1' });
    const to = endpoint(box.pod('b1').ipv4, 8080);
    expect((await tcpClient(other.pod('a1'), to)).byServer).toEqual({ 'other-b1': 1 });
    expect((await tcpClient(box.pod('a1'), to)).byServer).toEqual({ b1: 1 });
  });

  it('a capture shows the packets of a connection', async () => {
    const capture = await startCapture(box.pod('b1'), { filter: 'tcp port 8080', direction: 'in' });
    await tcpClient(box.pod('a1'), endpoint(box.pod('b1').ipv4, 8080));
    const { packets, dropped } = await capture.stop();
    expect(packets.length).toBeGreaterThanOrEqual(4);
    expect(dropped).toBe(0);
  });
});
