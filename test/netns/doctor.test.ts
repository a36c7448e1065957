import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Box, repositoryRoot } from '../../box/index.js';
import type { Report } from '../../src/doctor/index.js';
import { BoxApi } from '../support/cluster/api.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { standardService } from '../support/cluster/standard.js';

const SHUNT = join(repositoryRoot(), 'bin/shunt');

/** Answers on kube-proxy's metrics port as kube-proxy does. */
const KUBE_PROXY = `
require('node:http').createServer((_, response) => response.end('iptables')).listen(10249, '127.0.0.1', () => console.log('up'));`;

const LISTENER = "require('node:http').createServer().listen(30080, '0.0.0.0', () => console.log('up'))";

describe('shunt doctor on a node', () => {
  let cluster: Cluster;
  let box: Box;
  let api: BoxApi;

  async function doctor(...args: string[]): Promise<Report & { code: number | null }> {
    const { pinPath, cgroup } = box.node('node1');
    const { stdout, code } = await box.exec(
      'node1',
      [
        SHUNT,
        'doctor',
        '-o',
        'json',
        '--pin-path',
        pinPath,
        '--cgroup',
        cgroup,
        '--kubeconfig',
        api.kubeconfig,
        ...args,
      ],
      { allowFailure: true },
    );
    return { ...(JSON.parse(stdout) as Report), code };
  }
  /** On a busy machine the verifier alone takes long. */
  async function startAgent() {
    const agent = box.node('node1').startAgent(['--manifests', cluster.manifests, '--replace-kube-proxy']);
    await agent.waitReady(60_000);
    return agent;
  }
  const sysctl = (name: string, value: string) => box.exec('node1', ['sysctl', '-qw', `${name}=${value}`]);
  const level = (report: Report, id: string) => report.findings.find((finding) => finding.id === id)?.level;
  const what = (report: Report, id: string) => report.findings.find((finding) => finding.id === id)?.what;

  beforeAll(async () => {
    cluster = await Cluster.start({ box: { nodes: 1, mode: 'flannel' }, agentless: true, servers: false });
    box = cluster.box;
    api = await BoxApi.start(box);
  });
  afterAll(() => cluster?.close());

  it('finds a node ready before any agent has run', async () => {
    const report = await doctor('--replace-kube-proxy');
    expect(report.code).toBe(0);
    // The box's nodes have cgroups below the machine's root: that is the one thing to look at.
    expect(report.findings.filter((f) => f.level === 'warn').map((f) => f.id)).toEqual(['cgroup']);
    expect(what(report, 'cni')).toMatch(/^bridge CNI: 2 of 2 pod devices are ports of cni0/);
    expect(what(report, 'overlay/flannel.1')).toMatch(/vxlan.*MTU 1450/);
    expect(level(report, 'api')).toBe('ok');
    expect(what(report, 'agent')).toMatch(/no agent has run here/);
    expect(report.choices).toContainEqual({ what: 'eth0', choice: 'tc', because: 'a veth is no real NIC' });
  });

  it('knows the agent and its programs from those of others', async () => {
    const agent = await startAgent();
    const before = await doctor('--replace-kube-proxy');
    expect(level(before, 'agent')).toBe('ok');
    expect(level(before, 'hooks')).toBe('ok');
    await box.exec('node1', ['tc', 'qdisc', 'add', 'dev', 'vetha1', 'clsact']);
    const filter = [
      'tc',
      'filter',
      'add',
      'dev',
      'vetha1',
      'ingress',
      'prio',
      '7',
      'u32',
      'match',
      'u32',
      '0',
      '0',
    ];
    await box.exec('node1', [...filter, 'flowid', '1:1']);
    await box.exec('node1', [join(repositoryRoot(), 'build/box/xdppass'), 'eth0']);
    const report = await doctor('--replace-kube-proxy');
    expect(what(report, 'hooks/vetha1/tc-ingress')).toBe('filter u32 at tc ingress of vetha1');
    expect(what(report, 'hooks/eth0/xdp')).toMatch(/\(id \d+\) \(xdp (native|generic)\) holds XDP of eth0$/);
    await box.exec('node1', ['tc', 'qdisc', 'del', 'dev', 'vetha1', 'clsact']);
    await agent.kill();
  });

  it('names processes and hostPorts that have the number of a NodePort', async () => {
    const nodePorts = { tcp: 30080, udp: 30053 };
    const web = standardService(box, { name: 'web', number: 1, pods: [], nodePorts });
    cluster.apply('20-services', web.objects);
    const agent = await startAgent();
    const served = async () => level(await doctor('--replace-kube-proxy'), 'node-ports') === 'ok';
    await eventually('the NodePorts to be served', served, 20_000);
    const listener = box.spawn('node1', ['node', '-e', LISTENER]);
    await listener.waitForLine(/^up/, 5000);
    // As the plugin portmap writes it.
    await box.exec('node1', ['iptables-nft', '-t', 'nat', '-N', 'CNI-HOSTPORT-DNAT']);
    const rule = '-t nat -A CNI-HOSTPORT-DNAT -p udp -m multiport --dports 30053 -j RETURN';
    await box.exec('node1', ['iptables-nft', ...rule.split(' ')]);
    const report = await doctor('--replace-kube-proxy');
    expect(what(report, 'node-ports/30080-TCP')).toBe(
      'a process of this node listens on 0.0.0.0:30080, node port 30080/TCP of Service default/web',
    );
    expect(what(report, 'node-ports/30053-UDP')).toBe(
      'a pod of this node has hostPort 30053, node port 30053/UDP of Service default/web',
    );
    expect(level(report, 'node-ports/30080-TCP')).toBe('warn');
    expect(report.code).toBe(0);
    await listener.stop();
    for (const act of ['-F', '-X'])
      await box.exec('node1', ['iptables-nft', '-t', 'nat', act, 'CNI-HOSTPORT-DNAT']);
    expect(await served()).toBe(true);
    await agent.kill();
    cluster.apply('20-services', []);
  });

  it('fails a script where the agent would not start or packets would end', async () => {
    await sysctl('net.ipv4.ip_forward', '0');
    await sysctl('net.ipv4.ip_local_port_range', '15000 60999');
    await sysctl('net.ipv4.conf.all.rp_filter', '1');
    await sysctl('net.ipv4.conf.eth0.rp_filter', '1');
    const report = await doctor('--replace-kube-proxy');
    expect(report).toMatchObject({ code: 1, level: 'fail' });
    expect(level(report, 'ip_forward/net.ipv4.ip_forward')).toBe('fail');
    expect(level(report, 'ports/snat')).toBe('fail');
    expect(level(report, 'ports/node-ports')).toBe('warn');
    expect(level(report, 'rp_filter')).toBe('warn');
    await sysctl('net.ipv4.ip_forward', '1');
    await sysctl('net.ipv4.ip_local_port_range', '32768 60999');
    await sysctl('net.ipv4.conf.all.rp_filter', '2');
  });

  it('sees kube-proxy by its port, its rules by their names, and not the agent for it', async () => {
    const agent = await startAgent();
    expect(level(await doctor('--replace-kube-proxy'), 'kube-proxy')).toBe('ok');
    await agent.kill();
    await box.exec('node1', [
      'nft',
      'add table ip nat; add chain ip nat KUBE-SERVICES; add table ip kube-proxy; add chain ip kube-proxy services',
    ]);
    const rules = await doctor('--replace-kube-proxy');
    expect(level(rules, 'kube-proxy/rules')).toBe('warn');
    expect(what(rules, 'kube-proxy/rules')).toMatch(
      /1 KUBE-\* chains of iptables, 1 chains in nftables' table/,
    );
    const proxy = box.spawn('node1', ['node', '-e', KUBE_PROXY]);
    await proxy.waitForLine(/^up/, 5000);
    const running = await doctor('--replace-kube-proxy');
    expect(what(running, 'kube-proxy/running')).toMatch(/^kube-proxy runs in iptables mode/);
    expect(running.code).toBe(1);
    expect((await doctor()).code).toBe(0);
    await proxy.stop();
  });

  it('names an API server that does not answer', async () => {
    await api.process.stop();
    const report = await doctor();
    expect(level(report, 'api/list-services')).toBe('fail');
    expect(report.code).toBe(1);
  });
});
