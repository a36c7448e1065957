import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tcpClient } from '../../box/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { type KubeObject, nodeObject, serviceObject, sliceObject } from '../support/cluster/objects.js';
import { parseExposition } from '../unit/agent/metrics/exposition.js';

const PORT = 32_555;
const TAINT = { key: 'ToBeDeletedByClusterAutoscaler', value: '1', effect: 'NoSchedule' };

interface HttpAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

describe('SEMANTICS 8: health of a node, as load balancers and probes see it', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ box: { nodes: 2 }, agentless: true });
    cluster.apply('20-web', web(['a1']));
    // One after the other: the verifier takes a core for seconds.
    for (const node of ['node1', 'node2']) await cluster.startAgent(node);
  });
  afterAll(() => cluster?.close());

  /** A LoadBalancer Service with policy Local; one slice, its pods by name. */
  function web(
    pods: string[],
    o: { port?: number; terminating?: boolean; policy?: 'Cluster' } = {},
  ): KubeObject[] {
    const service = serviceObject({
      name: 'web',
      type: 'LoadBalancer',
      clusterIPs: ['10.96.1.7'],
      ports: [{ name: 'http', port: 80, targetPort: 8080, nodePort: 30_777 }],
      externalTrafficPolicy: o.policy ?? 'Local',
      loadBalancerIPs: ['192.0.2.7'],
    });
    // The API server takes the port back when the policy becomes Cluster.
    if (!o.policy) (service.spec as Record<string, unknown>).healthCheckNodePort = o.port ?? PORT;
    const endpoints = pods.map((name) => {
      const { ipv4, node } = cluster.box.pod(name);
      return { ip: ipv4, node, ...(o.terminating && { ready: false, serving: true, terminating: true }) };
    });
    return [service, sliceObject('web', endpoints, [{ name: 'http', port: 8080 }], { family: 4 })];
  }

  async function get(from: string, url: string): Promise<HttpAnswer> {
    const { stdout } = await cluster.box.exec(from, ['curl', '-sgi', '--max-time', '3', url]);
    const [head = '', ...rest] = stdout.split('\r\n\r\n');
    const [status = '', ...lines] = head.split('\r\n');
    return {
      status: Number(status.split(' ')[1]),
      headers: new Map(lines.map((line) => line.split(': ', 2) as [string, string])),
      body: rest.join('\r\n\r\n'),
    };
  }
  const statusOf = async (url: string) => (await get('outside', url)).status;
  const check = (node: string, port = PORT) => `http://${cluster.box.node(node).ipv4}:${port}/`;

  it('answers on both families of every node, by the endpoints that it has', async () => {
    const { ipv6 } = cluster.box.node('node1');
    await eventually('200', async () => (await statusOf(check('node1'))) === 200);
    expect(await statusOf(`http://[${ipv6}]:${PORT}/`)).toBe(200);
    expect(await statusOf(check('node2'))).toBe(503);
    const { headers, body } = await get('outside', check('node1'));
    expect([...headers.keys()].filter((name) => name !== 'Date')).toEqual([
      'Content-Type',
      'X-Content-Type-Options',
      'X-Load-Balancing-Endpoint-Weight',
      'Content-Length',
    ]);
    expect(headers.get('X-Load-Balancing-Endpoint-Weight')).toBe('1');
    expect(JSON.parse(body)).toEqual({
      service: { namespace: 'default', name: 'web' },
      localEndpoints: 1,
      serviceProxyHealthy: true,
    });
  });

  it('follows endpoints, conditions and the port', async () => {
    cluster.apply('20-web', web(['b1']));
    await eventually('the other node', async () => (await statusOf(check('node2'))) === 200);
    await eventually('not this one', async () => (await statusOf(check('node1'))) === 503);
    cluster.apply('20-web', web(['b1'], { terminating: true }));
    await eventually('nobody', async () => (await statusOf(check('node2'))) === 503);
    cluster.apply('20-web', web(['b1'], { port: PORT + 1 }));
    await eventually('the new port', async () => (await statusOf(check('node2', PORT + 1))) === 200);
    await expect(get('outside', check('node2'))).rejects.toThrow();
  });

  it('goes and comes with externalTrafficPolicy Local; NodePorts follow', async () => {
    const through = async (node: string) => {
      const to = `${cluster.box.node(node).ipv4}:30777`;
      const { ok, peers } = await tcpClient(cluster.box.outside, to, { count: 1, timeoutMs: 500 });
      return ok === 1 ? Object.keys(peers).join() : 'silent';
    };
    const { ipv4: client } = cluster.box.outside;
    cluster.apply('20-web', web(['a1']));
    await eventually('200', async () => (await statusOf(check('node1'))) === 200);
    expect(await through('node2')).toBe('silent');
    cluster.apply('20-web', web(['a1'], { policy: 'Cluster' }));
    await eventually('the other node to serve', async () => {
      return (await through('node2')) === cluster.box.node('node2').ipv4;
    });
    for (const node of ['node1', 'node2']) await expect(get('outside', check(node))).rejects.toThrow();
    cluster.apply('20-web', web(['a1']));
    await eventually('200', async () => (await statusOf(check('node1'))) === 200);
    expect(await statusOf(check('node2'))).toBe(503);
    await eventually('silence', async () => (await through('node2')) === 'silent');
    expect(await through('node1')).toBe(client);
  });

  it('says which Service a port could not be had for, and serves it once it can', async () => {
    const squatter = cluster.box.spawn('node1', [
      'node',
      '-e',
      `require('net').createServer().listen(${PORT + 2}, '0.0.0.0', () => console.log('has it'))`,
    ]);
    await squatter.waitForLine(/has it/);
    cluster.apply('20-web', web(['a1'], { port: PORT + 2 }));
    await cluster.agent('node1').waitForLog(/Service default\/web.*EADDRINUSE/);
    await squatter.stop('SIGTERM');
    await eventually('the port', async () => (await statusOf(check('node1', PORT + 2))) === 200, 15_000);
  });

  it("answers on kube-proxy's healthz port; a node about to go is not eligible, but alive", async () => {
    const { ipv4 } = cluster.box.node('node1');
    const healthz = async () => await get('outside', `http://${ipv4}:10256/healthz`);
    const first = await healthz();
    expect(first.status).toBe(200);
    expect(first.body).toMatch(
      /^\{"lastUpdated": "([\d-]+ [\d:.]+ \+0000 UTC m=\+\d+\.\d{9})","currentTime": "\1", "nodeEligible": true\}$/,
    );
    const { ipv4: address, ipv6, plan } = cluster.box.node('node1');
    const node = nodeObject('node1', [address, ipv6], { podCIDRs: [plan.podCidr4, plan.podCidr6] });
    (node.spec as Record<string, unknown>).taints = [TAINT];
    const others = Cluster.nodeObjects(cluster.box).filter(({ metadata }) => metadata.name !== 'node1');
    cluster.apply('00-nodes', [node, ...others]);
    await eventually('not eligible', async () => (await healthz()).status === 503);
    expect((await healthz()).body).toMatch(/"nodeEligible": false\}$/);
    expect(await statusOf(`http://${ipv4}:10256/livez`)).toBe(200);
    expect(await statusOf(check('node1', PORT + 2))).toBe(200);
    cluster.apply('00-nodes', Cluster.nodeObjects(cluster.box));
    await eventually('eligible again', async () => (await healthz()).status === 200);
  });

  it("answers on kube-proxy's metrics port, on this node only, with what really happened", async () => {
    const url = (path: string) => `http://127.0.0.1:10249${path}`;
    cluster.apply('20-web', web(['a1'], { port: PORT + 2 }));
    const target = '10.96.1.7:80';
    await cluster.reachable('a2', target);
    const scrape = async () => {
      const { headers, body } = await get('node1', url('/metrics'));
      expect(headers.get('Content-Type')).toMatch(/^text\/plain; version=0\.0\.4/);
      const { families, problems } = parseExposition(body);
      expect(problems).toEqual([]);
      return (name: string, labels: Record<string, string> = {}) =>
        families
          .get(name.replace(/_count$/, ''))
          ?.series.filter((s) => s.name === name)
          .filter((s) => Object.entries(labels).every(([key, value]) => s.labels[key] === value))
          .reduce((sum, s) => sum + s.value, 0) ?? 0;
    };
    const flows = { namespace: 'default', service: 'web', port: 'http', protocol: 'TCP', ip_family: 'IPv4' };
    const first = await scrape();
    expect(await tcpClient(cluster.box.pod('a2'), target, { count: 20 })).toMatchObject({ ok: 20 });
    const [service, slice] = web(['a1', 'b1'], { port: PORT + 2 }) as [KubeObject, KubeObject];
    slice.metadata.annotations = {
      'endpoints.kubernetes.io/last-change-trigger-time': new Date().toISOString(),
    };
    cluster.apply('20-web', [service, slice]);
    const programmed = 'kubeproxy_network_programming_duration_seconds_count';
    await eventually('a measured change', async () => (await scrape())(programmed) > first(programmed));
    const last = await scrape();
    const grown = (name: string, labels = {}) => last(name, labels) - first(name, labels);
    expect(grown('shunt_service_new_flows_total', flows)).toBe(20);
    expect(grown('shunt_service_packets_total', { ...flows, direction: 'reply' })).toBeGreaterThan(40);
    expect(grown('kubeproxy_sync_proxy_rules_endpoint_changes_total')).toBeGreaterThan(0);
    expect(grown('kubeproxy_sync_proxy_rules_duration_seconds_count')).toBeGreaterThan(0);
    expect(last('shunt_health_check_servers_listening')).toBe(2);
    expect(last('kubeproxy_proxy_healthz_total', { code: '503' })).toBeGreaterThan(0);
    expect((await get('node1', url('/proxyMode'))).body).toBe('iptables');
    expect((await get('node1', url('/healthz'))).body).toBe('ok');
    const { 'kubeproxy.config.k8s.io': configuration } = JSON.parse(
      (await get('node1', url('/configz'))).body,
    );
    expect(configuration).toMatchObject({ kind: 'KubeProxyConfiguration', replaceKubeProxy: true });
    expect((await get('node1', url('/'))).status).toBe(404);
    const outside = get('outside', `http://${cluster.box.node('node1').ipv4}:10249/metrics`);
    await expect(outside).rejects.toThrow();
  });

  it('binds what --nodeport-addresses says, and follows the addresses of the node', async () => {
    await cluster.agent('node1').kill();
    const flags = ['--manifests', cluster.manifests, '--replace-kube-proxy'];
    await cluster.startAgent('node1', [...flags, '--nodeport-addresses', '172.31.0.0/24']);
    await eventually('gone elsewhere', async () => {
      return await get('outside', check('node1', PORT + 2)).then(
        () => false,
        () => true,
      );
    });
    await cluster.box.exec('node1', ['ip', 'address', 'add', '172.31.0.5/32', 'dev', 'lo']);
    const url = `http://172.31.0.5:${PORT + 2}/`;
    await eventually('the new address', async () => (await get('node1', url)).status === 200);
    await cluster.box.exec('node1', ['ip', 'address', 'del', '172.31.0.5/32', 'dev', 'lo']);
    await eventually('the address to go', () =>
      get('node1', url).then(
        () => false,
        () => true,
      ),
    );
  });

  it('beside kube-proxy it answers on ports of its own, and not at all when told so', async () => {
    const at = (port: number, path: string) => get('node2', `http://127.0.0.1:${port}${path}`);
    await cluster.agent('node2').kill();
    await cluster.startAgent('node2', ['--manifests', cluster.manifests]);
    expect((await at(10_276, '/healthz')).status).toBe(200);
    await expect(at(10_256, '/healthz')).rejects.toThrow();
    await cluster.agent('node2').kill();
    await cluster.startAgent('node2', [
      '--manifests',
      cluster.manifests,
      '--healthz-bind-address=',
      '--metrics-bind-address=',
    ]);
    await expect(at(10_276, '/healthz')).rejects.toThrow();
    await expect(at(10_269, '/metrics')).rejects.toThrow();
  });

  it('does not start with --bind-address-hard-fail when the port is taken; without it it goes on', async () => {
    const squatter = cluster.box.spawn('node2', [
      'node',
      '-e',
      "require('net').createServer().listen(10256, '0.0.0.0', () => console.log('has it'))",
    ]);
    await squatter.waitForLine(/has it/);
    await cluster.agent('node2').kill();
    const flags = ['--manifests', cluster.manifests, '--replace-kube-proxy'];
    const hard = cluster.box.node('node2').startAgent([...flags, '--bind-address-hard-fail']);
    const { code, stdout } = await hard.process.exited;
    expect(code).toBe(1);
    expect(stdout).toMatch(/listen on 0\.0\.0\.0:10256: another socket has the port \(EADDRINUSE\)/);
    const agent = await cluster.startAgent('node2', flags);
    expect(agent.log).toMatch(/EADDRINUSE.*trying again/);
    await squatter.stop('SIGTERM');
    const url = 'http://127.0.0.1:10256/livez';
    await eventually('the port', async () => (await get('node2', url)).status === 200, 15_000);
  });
});
