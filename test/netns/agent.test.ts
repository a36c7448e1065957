import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, repositoryRoot, tcpClient } from '../../box/index.js';
import type { AgentStatus } from '../../src/agent/agent.js';
import { BpfLink, BpfMap, BpfProgram } from '../../src/native/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { type StandardService, standardService } from '../support/cluster/standard.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };
const SHUNT = join(repositoryRoot(), 'bin/shunt');

interface LinkState {
  id: number;
  progId: number;
  ifindex: number;
  program: string;
}

describe('the agent on a node', () => {
  let cluster: Cluster;
  let service: StandardService;
  const statusFile = () => join(cluster.box.directory, 'status.json');
  const flags = (...more: string[]) => [
    '--manifests',
    cluster.manifests,
    '--replace-kube-proxy',
    '--status-file',
    statusFile(),
    ...more,
  ];
  const node = () => cluster.box.node('node1');
  const linksDirectory = () => join(node().pinPath, 'v1', 'links');
  const pins = () => (existsSync(linksDirectory()) ? readdirSync(linksDirectory()).sort() : []);
  const deviceOf = (name: string) => pins().filter((pin) => pin.endsWith(`@${name}`));
  const status = () => JSON.parse(readFileSync(statusFile(), 'utf8')) as AgentStatus;
  const inNode = (...argv: string[]) => cluster.box.exec('node1', argv);

  function links(): Record<string, LinkState> {
    return Object.fromEntries(
      pins().map((pin) => {
        using link = BpfLink.openPinned(join(linksDirectory(), pin));
        const { id, progId, ifindex = 0 } = link.info;
        using program = BpfProgram.openById(progId);
        return [pin, { id, progId, ifindex, program: program.info.name }];
      }),
    );
  }

  async function restart(...more: string[]): Promise<void> {
    await cluster.agent('node1').kill('SIGKILL');
    await cluster.startAgent('node1', flags(...more));
  }

  function configWord(index: number): bigint {
    using map = BpfMap.openPinned(join(node().pinPath, 'v1', 'lb_config'));
    const value = map.lookup(new Uint8Array(4)) as Uint8Array;
    return new DataView(value.buffer, value.byteOffset).getBigUint64(index * 8, true);
  }

  beforeAll(async () => {
    cluster = await Cluster.start({ box: { nodes: 1 }, agentless: true });
    service = standardService(cluster.box, { name: 'web', number: 1, pods: ['a2'], nodePorts: NODE_PORT });
    cluster.apply('20-services', service.objects);
    await cluster.startAgent('node1', flags());
  });
  afterAll(() => cluster?.close());

  it('attaches by class and pins every link', () => {
    const programs = Object.entries(links()).map(([pin, link]) => `${pin} ${link.program}`);
    expect(programs).toEqual([
      'sk_connect4 sk_connect4',
      'sk_connect6 sk_connect6',
      'sk_peername4 sk_peername4',
      'sk_peername6 sk_peername6',
      'sk_recvmsg4 sk_recvmsg4',
      'sk_recvmsg6 sk_recvmsg6',
      'sk_sendmsg4 sk_sendmsg4',
      'sk_sendmsg6 sk_sendmsg6',
      'tc_egress@eth0 tc_uplink_out',
      'tc_egress@vetha1 tc_pod_out',
      'tc_egress@vetha2 tc_pod_out',
      'tc_ingress@eth0 tc_uplink_in',
      'tc_ingress@vetha1 tc_pod_in',
      'tc_ingress@vetha2 tc_pod_in',
    ]);
  });

  it('reports what it did', async () => {
    await eventually('the status file', () => status().serving);
    expect(status()).toMatchObject({ nodeName: 'node1', serving: true, nodeKnown: true });
    expect(status().counters).toMatchObject({ fullResyncs: 1, applyErrors: 0, attachErrors: 0 });
  });

  it('attaches a new pod on its device event, and forgets it with the device', async () => {
    const { box } = cluster;
    const pod = await box.addPod({ name: 'a9', node: 'node1' });
    await eventually('programs on the new pod', () => deviceOf(pod.hostInterface).length === 2, 2000);
    const report = await tcpClient(pod, service.tcp[4], { count: 10 });
    expect(report).toMatchObject({ ok: 10, failed: 0 });
    await box.removePod('a9');
    await eventually('the pins to go', () => deviceOf(pod.hostInterface).length === 0, 2000);
    expect(status().counters.attachErrors).toBe(0);
  });

  it('serves a device whose name has a dot', async () => {
    await inNode('ip', 'link', 'add', 'wan.7', 'type', 'veth', 'peer', 'name', 'wan.8');
    await inNode('ip', 'address', 'add', '192.0.2.7/24', 'dev', 'wan.7');
    await inNode('ip', 'link', 'set', 'wan.7', 'up');
    await eventually('programs on the device', () => deviceOf('wan%2e7').length === 2, 2000);
    expect(links()['tc_ingress@wan%2e7']?.program).toBe('tc_uplink_in');
    await inNode('ip', 'link', 'del', 'wan.7');
    await eventually('the pins to go', () => deviceOf('wan%2e7').length === 0, 2000);
  });

  it('follows the addresses of the node', async () => {
    const address = '172.30.0.77';
    const nodePort = endpoint(address, NODE_PORT.tcp);
    await inNode('ip', 'address', 'add', `${address}/24`, 'dev', 'eth0');
    await cluster.reachable('outside', nodePort);
    await inNode('ip', 'address', 'del', `${address}/24`, 'dev', 'eth0');
    expect(status().counters.fullResyncs).toBe(1);
  });

  it('makes cached next hops worthless when a route changes', async () => {
    const before = configWord(0);
    await inNode('ip', 'route', 'add', '203.0.113.0/24', 'dev', 'eth0');
    await eventually('another generation', () => configWord(0) > before, 1000);
  });

  it('keeps a heartbeat in the maps', async () => {
    const before = configWord(2);
    await eventually('a later heartbeat', () => configWord(2) > before, 3000);
  });

  it('takes links over after kill -9: the same links, new programs', async () => {
    const before = links();
    await restart();
    const after = links();
    expect(Object.keys(after)).toEqual(Object.keys(before));
    for (const [pin, link] of Object.entries(after)) {
      expect(link.id, pin).toBe(before[pin]?.id);
      expect(link.progId, pin).not.toBe(before[pin]?.progId);
      expect(link.program, pin).toBe(before[pin]?.program);
    }
    expect(await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 10 })).toMatchObject({ ok: 10 });
  });

  it('removes pins of a pod that went while nobody ran', async () => {
    const { box } = cluster;
    const pod = await box.addPod({ name: 'a8', node: 'node1' });
    await eventually('programs on the new pod', () => deviceOf(pod.hostInterface).length === 2);
    await cluster.agent('node1').kill('SIGKILL');
    await box.removePod('a8');
    expect(deviceOf(pod.hostInterface)).toHaveLength(2);
    await cluster.startAgent('node1', flags());
    await eventually('the pins to go', () => deviceOf(pod.hostInterface).length === 0);
  });

  it('puts XDP on uplinks when forced, takes it over, and takes it away when switched off', async () => {
    await restart('--xdp=force');
    await eventually('XDP on the uplink', () => deviceOf('eth0').includes('xdp@eth0'));
    const before = links()['xdp@eth0'];
    const devices = await cluster.shunt<unknown[]>('node1', ['maps', 'xdp_devices']);
    expect(JSON.stringify(devices)).toContain(String(before?.ifindex));
    await restart('--xdp=force');
    await eventually('another program', () => links()['xdp@eth0']?.progId !== before?.progId);
    expect(links()['xdp@eth0']?.id).toBe(before?.id);
    await restart('--xdp=off');
    await eventually('no XDP', () => !deviceOf('eth0').includes('xdp@eth0'));
  });

  it('detaches the socket hooks with --socket-lb=off', async () => {
    await restart('--socket-lb=off');
    expect(pins().filter((pin) => pin.startsWith('sk_'))).toEqual([]);
    await restart();
    expect(pins().filter((pin) => pin.startsWith('sk_'))).toHaveLength(8);
  });

  it('refuses to run twice on one pin path', async () => {
    const second = node().startAgent(flags());
    const { code, stdout } = await second.process.exited;
    expect(code).toBe(1);
    expect(stdout).toMatch(/another agent/);
  });

  it('serves on when its Node is unknown, and says so', async () => {
    await cluster.agent('node1').kill('SIGTERM');
    const agent = await cluster.startAgent('node1', flags('--hostname-override', 'no-such-node'));
    expect(agent.log).toMatch(/find Node no-such-node.*--hostname-override/);
    expect(await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 5 })).toMatchObject({ ok: 5 });
  });

  it('leaves the data path in place on SIGTERM; cleanup removes every trace', async () => {
    const { code } = await cluster.agent('node1').kill('SIGTERM');
    expect(code).toBe(0);
    expect(await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 5 })).toMatchObject({ ok: 5 });
    const held = pins().map((pin) => BpfLink.openPinned(join(linksDirectory(), pin)));
    const first = await inNode(SHUNT, 'cleanup', '--pin-path', node().pinPath);
    expect(first.stdout).toMatch(/removed link .*tc_ingress@eth0/);
    expect(existsSync(node().pinPath)).toBe(false);
    for (const link of held) {
      expect(link.info.ifindex ?? link.info.cgroupId).toSatisfy((id) => id === 0 || id === 0n);
      link.close();
    }
    const second = await inNode(SHUNT, 'cleanup', '--pin-path', node().pinPath);
    expect(second.stdout).toMatch(/nothing to remove/);
    expect(
      await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 1, timeoutMs: 500 }),
    ).toMatchObject({
      ok: 0,
    });
  });

  const refusals: [string, string[], RegExp][] = [
    ['a manifests directory that is not there', ['--manifests', '/nonexistent'], /no such directory/],
    ['a kubeconfig that is not there', ['--kubeconfig', '/nonexistent'], /kubeconfig.*no such file/],
    ['a cgroup that is none', ['--manifests', '/tmp', '--cgroup', '/tmp'], /cgroup2/],
    [
      'a pin path on another file system',
      ['--manifests', '/tmp', '--pin-path', '/tmp/pins'],
      /bpf file system/i,
    ],
    [
      'SNAT ports that sockets use',
      ['--manifests', '/tmp', '--snat-port-range', '40000-50000'],
      /ip_local_port_range/,
    ],
  ];
  for (const [what, args, message] of refusals) {
    it(`does not start with ${what}, and says why`, async () => {
      const agent = node().startAgent(args);
      const { code, stdout, stderr } = await agent.process.exited;
      expect(code).not.toBe(0);
      expect(stdout + stderr).toMatch(message);
    });
  }
});
