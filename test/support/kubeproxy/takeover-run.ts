/** A node that kube-proxy's rules serve, with traffic that must not notice who serves it. */
import { join } from 'node:path';
import {
  type Agent,
  type Box,
  type BoxOptions,
  type ClientReport,
  type ExecResult,
  endpoint,
  holdConnections,
  type RunningLoad,
  repositoryRoot,
} from '../../../box/index.js';
import { Cluster } from '../cluster/cluster.js';
import { type KubeObject, serviceObject, sliceObject } from '../cluster/objects.js';
import { type StandardService, standardService } from '../cluster/standard.js';
import { installForeignRules } from './foreign.js';
import { installKubeProxy, netfilterText, type ProxyMode } from './install.js';
import { fillerServices, type ProxiedPort, type ProxyConfig } from './services.js';
import { Stream, type StreamReport } from './stream.js';
import { UdpFlows, type UdpFlowsReport } from './udp-flows.js';

const NODE = 'node1';
const NODE_PORT = { tcp: 30080, udp: 30053 };
export const CLUSTER_CIDR = { 4: '10.244.0.0/16', 6: 'fd00:244::/32' } as const;
const BACKENDS = ['a2', 'b1', 'b2'];

export interface TakeoverOptions {
  mode: ProxyMode;
  /** Services in the rules, the one with traffic included. */
  services: number;
  /** Rules of others in the node. Default true. */
  foreign?: boolean;
  box?: BoxOptions;
  agentArgs?: string[];
  /** The agent leaves kube-proxy all Services but those with Shunt's label. */
  sideBySide?: boolean;
  proxy?: Partial<ProxyConfig>;
}

/** What all clients together report; everything that is not 0 is wrong. */
export interface TrafficReport {
  held: ClientReport[];
  steady: StreamReport[];
  udp: UdpFlowsReport[];
  failed: number;
  opened: number;
  alive: number;
}

export class TakeoverRun implements AsyncDisposable {
  readonly service;
  readonly ports: ProxiedPort[];
  readonly config: ProxyConfig;

  private constructor(
    readonly cluster: Cluster,
    readonly o: TakeoverOptions,
  ) {
    const { box } = cluster;
    this.service = standardService(box, { name: 'web', number: 1, pods: BACKENDS, nodePorts: NODE_PORT });
    this.config = { clusterCidr: CLUSTER_CIDR, ...o.proxy };
    this.ports = [
      ...proxiedPorts(box, 'web', this.service, BACKENDS, NODE_PORT),
      ...fillerServices(o.services - 1, 4),
    ];
  }

  static async start(o: TakeoverOptions): Promise<TakeoverRun> {
    const cluster = await Cluster.start({ ...(o.box && { box: o.box }), agentless: true });
    try {
      const run = new TakeoverRun(cluster, o);
      cluster.apply('20-services', run.service.objects);
      cluster.apply('30-fillers', run.fillerObjects());
      if (o.foreign !== false) await installForeignRules(cluster.box, NODE, o.mode);
      // The time after which nf_conntrack forgets a UDP flow, and after which a test can see it.
      await run.shell(
        'cd /proc/sys/net/netfilter; echo 5 > nf_conntrack_udp_timeout_stream; echo 5 > nf_conntrack_udp_timeout',
      );
      return run;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Runs a script in the node; its stdout. */
  async shell(script: string): Promise<string> {
    return (await this.cluster.box.exec(NODE, ['sh', '-euc', script], { timeoutMs: 120_000 })).stdout;
  }

  installKubeProxy(ports = this.ports): Promise<void> {
    return installKubeProxy(this.cluster.box, NODE, this.o.mode, ports, this.config);
  }

  netfilter(): Promise<string> {
    return netfilterText(this.cluster.box, NODE);
  }

  async startAgent(): Promise<Agent> {
    const { box, manifests } = this.cluster;
    const args = ['--manifests', manifests, ...(this.o.agentArgs ?? ['--xdp=off'])];
    if (!this.o.sideBySide) args.push('--replace-kube-proxy');
    const agent = box.node(NODE).startAgent(args);
    // The verifier shares the CPUs with the traffic.
    await agent.waitReady(90_000);
    return agent;
  }

  async takeover(...args: string[]): Promise<ExecResult> {
    const { pinPath } = this.cluster.box.node(NODE);
    const argv = [join(repositoryRoot(), 'bin/shunt'), 'takeover', ...args, '--pin-path', pinPath];
    return this.cluster.box.exec(NODE, argv, { timeoutMs: 300_000, allowFailure: true });
  }

  /** Packets of the node by the way they went. */
  async paths(): Promise<Record<string, number>> {
    const { paths } = await this.cluster.shunt<{ paths: Record<string, { packets: number }> }>(NODE, [
      'status',
    ]);
    return Object.fromEntries(Object.entries(paths).map(([path, { packets }]) => [path, packets]));
  }

  /** 200 TCP connections that ask all the time, 50 UDP flows from fixed ports, and connections without pause. */
  async traffic(firstPort: number): Promise<Traffic> {
    const { box } = this.cluster;
    const a1 = box.pod('a1');
    const node = box.node(NODE);
    const options = { seconds: 600, intervalMs: 200, timeoutMs: 10_000 };
    const held = await Promise.all([
      holdConnections(a1, this.service.tcp[4], { ...options, count: 70 }),
      holdConnections(a1, this.service.tcp[6], { ...options, count: 30 }),
      holdConnections(box.outside, endpoint(node.ipv4, NODE_PORT.tcp), { ...options, count: 40 }),
      holdConnections(box.outside, endpoint(node.ipv6, NODE_PORT.tcp), { ...options, count: 20 }),
      holdConnections(node, this.service.tcp[4], { ...options, count: 40 }),
    ]);
    const udp = await Promise.all([
      UdpFlows.start(box, 'a1', { host: this.service.clusterIp4, port: 53 }, { count: 20, firstPort }),
      UdpFlows.start(box, 'outside', { host: node.ipv4, port: NODE_PORT.udp }, { count: 12, firstPort }),
      UdpFlows.start(
        box,
        'outside',
        { host: node.ipv6, port: NODE_PORT.udp },
        { count: 8, firstPort: firstPort + 100 },
      ),
      UdpFlows.start(box, NODE, { host: this.service.clusterIp4, port: 53 }, { count: 10, firstPort }),
    ]);
    const stream = (where: string, host: string, port: number) =>
      Stream.start(box, where, { host, port }, 20);
    const steady = await Promise.all([
      stream('a1', this.service.clusterIp4, 80),
      stream('a1', this.service.clusterIp6, 80),
      stream('outside', node.ipv4, NODE_PORT.tcp),
      stream('outside', node.ipv6, NODE_PORT.tcp),
      stream(NODE, this.service.clusterIp4, 80),
    ]);
    return new Traffic(held, steady, udp);
  }

  async close(): Promise<void> {
    await this.cluster.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private fillerObjects(): KubeObject[] {
    return fillerServices(this.o.services - 1, 4).flatMap((p) => {
      const name = p.name.replace(/^filler\/(.*):http$/, '$1');
      return [
        serviceObject({
          name,
          clusterIPs: [p.clusterIp],
          ports: [{ name: 'http', port: 80, targetPort: 8080 }],
        }),
        sliceObject(name, p.endpoints, [{ name: 'http', port: 8080 }]),
      ];
    });
  }
}

/** A standard Service as kube-proxy sees it. */
export function proxiedPorts(
  box: Box,
  service: string,
  { clusterIp4, clusterIp6 }: StandardService,
  pods: readonly string[],
  nodePorts?: { tcp: number; udp: number },
): ProxiedPort[] {
  return ([4, 6] as const).flatMap((family) => {
    const ips = pods.map((name) => box.pod(name)).map((p) => (family === 4 ? p.ipv4 : p.ipv6));
    const common = { family, clusterIp: family === 4 ? clusterIp4 : clusterIp6 };
    const port = (name: string, protocol: 'tcp' | 'udp', number: number, target: number): ProxiedPort => ({
      ...common,
      ...{ name: `default/${service}:${name}`, protocol, port: number },
      ...(nodePorts && { nodePort: nodePorts[protocol] }),
      endpoints: ips.map((ip) => ({ ip, port: target })),
    });
    return [port('http', 'tcp', 80, 8080), port('dns', 'udp', 53, 9000)];
  });
}

/** Clients that run until they are told to stop. */
export class Traffic {
  constructor(
    private readonly held: RunningLoad[],
    private readonly steady: Stream[],
    private readonly udp: UdpFlows[],
  ) {}

  async stopTcp(): Promise<Omit<TrafficReport, 'udp'>> {
    const held = await Promise.all(this.held.map((load) => load.stop()));
    const steady = await Promise.all(this.steady.map((load) => load.stop()));
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    return {
      ...{ held, steady, failed: sum([...held, ...steady].map((report) => report.failed)) },
      opened: sum(held.map((report) => report.opened)),
      alive: sum(held.map((report) => report.alive)),
    };
  }

  /** Of flows that packets carry; those of the node's own sockets may move with any datagram. */
  async stopUdp(): Promise<UdpFlowsReport> {
    const reports = await Promise.all(this.udp.map((flows) => flows.stop()));
    const total: UdpFlowsReport = { sent: 0, answered: 0, lost: 0, moved: 0, errors: {} };
    for (const [i, report] of reports.entries()) {
      if (this.udp[i]?.where !== NODE) total.moved += report.moved;
      total.sent += report.sent;
      total.answered += report.answered;
      total.lost += report.lost;
      for (const [name, n] of Object.entries(report.errors))
        total.errors[name] = (total.errors[name] ?? 0) + n;
    }
    return total;
  }
}
