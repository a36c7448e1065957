import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, tcpClient } from '../../box/index.js';
import { serviceObject, sliceObject } from '../support/cluster/objects.js';
import { CLUSTER_CIDR, TakeoverRun } from '../support/kubeproxy/takeover-run.js';

interface Report {
  verdict: string;
  refusals: string[];
  warnings: string[];
}

const KUBE_PROXY = `
import { createServer } from 'node:http';
const serve = (port, answer) => createServer((q, s) => {
  const body = answer[q.url];
  s.writeHead(body === undefined ? 404 : 200).end(body ?? '404 page not found\\n');
}).listen(port, '127.0.0.1');
serve(10249, { '/proxyMode': 'iptables', '/healthz': 'ok' });
serve(10256, { '/healthz': '{"lastUpdated": "2026-11-21 00:17:16 +0000 UTC","currentTime": "2026-11-21 00:17:16 +0000 UTC"}' });
console.log('started');
`;

describe('what takeover refuses, and the way out', () => {
  let run: TakeoverRun;

  beforeAll(async () => {
    run = await TakeoverRun.start({
      mode: 'iptables-nft',
      services: 3,
      foreign: false,
      proxy: { healthCheckPorts: [30999] },
    });
    await run.shell(
      'iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP; iptables-nft -P INPUT DROP',
    );
    await run.shell(
      'iptables-nft -A INPUT -i lo -j ACCEPT; iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    );
    await run.installKubeProxy();
  });
  afterAll(() => run?.close());

  const check = async (...args: string[]) => {
    const { code, stdout } = await run.takeover('--check', '-o', 'json', ...args);
    return { code, report: JSON.parse(stdout) as Report };
  };

  it('kube-proxy that runs, by its ports; Shunt on the same ports is not taken for it', async () => {
    const argv = [process.execPath, '--input-type=module', '-e', KUBE_PROXY];
    const proxy = run.cluster.box.spawn('node1', argv);
    await proxy.waitForLine(/^started/);
    await run.startAgent();
    const { code, report } = await check();
    expect(code).toBe(3);
    expect(report.refusals.slice(0, 2)).toEqual([
      expect.stringMatching(/kube-proxy in iptables mode answers on port 10249 \(EBUSY\)/),
      expect.stringMatching(/kube-proxy answers on port 10256 \(EBUSY\)/),
    ]);
    await proxy.stop();
    await expect
      .poll(async () => (await check()).report, { timeout: 30_000, interval: 1000 })
      .toMatchObject({ answering: [{ who: 'shunt' }, { who: 'shunt' }] });
  });

  it('a FORWARD chain that only KUBE-FORWARD let traffic through', async () => {
    const before = await run.netfilter();
    const { code, report } = await check();
    expect(code).toBe(3);
    expect(report.refusals).toEqual([
      expect.stringMatching(
        /FORWARD would drop a connection from outside .* pass --accept-forward and --cluster-cidr/,
      ),
    ]);
    expect(report.warnings).toContainEqual(expect.stringMatching(/INPUT drops health checks on port 30999/));
    expect((await run.takeover('--do')).code).toBe(3);
    expect(await run.netfilter()).toBe(before);
  });

  it('rules that come back: kube-proxy runs after all', async () => {
    const cidrs = `${CLUSTER_CIDR[4]},${CLUSTER_CIDR[6]}`;
    const done = run.takeover(
      '--do',
      '--accept-forward',
      '--cluster-cidr',
      cidrs,
      '--watch',
      '30',
      '--wait',
      '0',
    );
    await expect.poll(() => run.netfilter(), { timeout: 30_000 }).not.toMatch(/KUBE-SERVICES/);
    await run.installKubeProxy();
    const { code, stderr } = await done;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/they came back, so it runs \(EBUSY\)/)]);
  });

  it('to give back what only Shunt serves, by name', async () => {
    const labels = { 'service.kubernetes.io/service-proxy-name': 'shunt' };
    const ports = [{ name: 'http', port: 8080 }];
    run.cluster.apply('40-own', [
      serviceObject({ name: 'mine', namespace: 'lab', clusterIPs: ['10.96.7.7'], ports, labels }),
      sliceObject('mine', [{ ip: run.cluster.box.pod('a2').ipv4 }], ports, { namespace: 'lab' }),
    ]);
    const undo = async (...args: string[]) => {
      const { code, stdout } = await run.takeover('--undo', '--wait', '0', '-o', 'json', ...args);
      return { code, report: JSON.parse(stdout) as Report & { missing: object[] } };
    };
    const served = async () => JSON.stringify(await run.cluster.shunt('node1', ['services']));
    await expect.poll(served, { timeout: 15_000 }).toContain('10.96.7.7');
    const { code, report } = await undo();
    expect([code, report.verdict]).toEqual([3, 'refused']);
    expect(report.refusals).toEqual([
      expect.stringMatching(
        /not in kube-proxy's rules \(lab\/mine 10\.96\.7\.7:8080\/TCP\)\..*--accept-missing/,
      ),
    ]);
    expect(report.missing).toEqual([
      { family: 4, ip: '10.96.7.7', port: 8080, protocol: 'TCP', service: 'lab/mine' },
    ]);
    // Given up by whoever runs it: it goes on, as far as an agent that runs lets it.
    expect(await undo('--accept-missing')).toMatchObject({
      code: 4,
      report: { warnings: [expect.stringMatching(/lab\/mine.*nobody serves them afterwards/)] },
    });
    run.cluster.apply('40-own', []);
  });

  it('with an accept rule of its own, tagged, until undo', async () => {
    const cidrs = `${CLUSTER_CIDR[4]},${CLUSTER_CIDR[6]}`;
    const done = await run.takeover('--do', '--accept-forward', '--cluster-cidr', cidrs, '--watch', '0');
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(await run.netfilter()).toMatch(
      /^-A FORWARD -m comment --comment "shunt takeover: forwarded Service traffic" -j SHUNT-FORWARD$/m,
    );
    const { box } = run.cluster;
    const nodePort = endpoint(box.node('node1').ipv4, 30080);
    for (const [place, to] of [
      [box.outside, nodePort],
      [box.pod('a1'), run.service.tcp[4]],
      [box.pod('a1'), run.service.tcp[6]],
    ] as const) {
      expect(await tcpClient(place, to, { count: 30 })).toMatchObject({ ok: 30, failed: 0 });
    }
    await run.installKubeProxy();
    expect((await run.takeover('--undo', '--wait', '30')).stderr).toMatch(/end Shunt's agent/);
  });
});
