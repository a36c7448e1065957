/** Runs rows of the matrix in a box: real servers, real clients, one process per row. */
import { isDeepStrictEqual } from 'node:util';
import {
  type AddressedPlace,
  CLUSTER_CIDR4,
  CLUSTER_CIDR6,
  type ClientReport,
  endpoint,
  tcpClient,
  udpClient,
} from '../../../box/index.js';
import { Cluster, eventually } from './cluster.js';
import {
  BACKENDS,
  type Backend,
  type Client,
  type Expectation,
  expectationOf,
  isMasqueradedBefore,
  POLICIES,
  type Policy,
  type Row,
  rowsOf,
  type Setting,
} from './matrix.js';
import { changeNodes } from './matrix-nodes.js';
import { addressOf, FAMILIES, type Family, standardService } from './standard.js';

const BACKEND_PODS: Record<Backend, string[]> = { here: ['a2'], elsewhere: ['b1'], nowhere: [] };
const CLIENT_PLACES: Record<Client, string> = {
  pod: 'a1',
  host: 'node1',
  outside: 'outside',
  'other host': 'node2',
  'other pod': 'b2',
};
/** Connections of a served row; all must succeed. */
const COUNT = 3;
/** Rows at a time: most of a silent one is waiting. */
const AT_A_TIME = 10;
/** Routes of the outside client: all of them are ranges of Services, and lead to node1. */
const ROUTED_TO_NODE = ['10.96.0.0/16', '192.0.2.0/24', '198.51.100.0/24'];
const ROUTED_TO_NODE6 = ['fd00:96::/32', '2001:db8:1::/48', '2001:db8:2::/48'];

/** What is compared: the same shape for what is expected and what was seen. */
export interface RowResult {
  ok: number;
  errors: Record<string, number>;
  byServer: Record<string, number>;
  peers: Record<string, number>;
  peerName: Record<string, number>;
}

export class MatrixCluster implements AsyncDisposable {
  private constructor(
    readonly cluster: Cluster,
    private setting: Setting,
    /** Address of node1 on the way to a backend, by backend's address. */
    private readonly sources: Map<string, string>,
  ) {}

  static async start(setting: Setting): Promise<MatrixCluster> {
    const { mode, netfilter, rpFilter, bridgeNfCallIptables } = setting;
    const cluster = await Cluster.start({
      box: { mode, netfilter, rpFilter, bridgeNfCallIptables, xdp: setting.xdp === 'force' },
      agentArgs: agentFlags(setting),
    });
    try {
      await routeServicesToNode1(cluster);
      cluster.apply('20-services', serviceObjects(cluster));
      const matrix = new MatrixCluster(cluster, setting, await nodeSources(cluster));
      await matrix.waitServed();
      return matrix;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Goes on in another setting of the same box and agents: netfilter, rp_filter and bridge-nf-call-iptables. */
  async change(setting: Setting): Promise<void> {
    this.setting = setting;
    await changeNodes(this.cluster.box, setting);
  }

  /** node1 has every Service: those with a backend answer, the others refuse. */
  private async waitServed(): Promise<void> {
    const rows = rowsOf(this.setting, { clients: ['outside'], frontends: ['NodePort'] });
    for (const row of rows.filter((r) => r.protocol === 'TCP' && r.policy === 'Cluster')) {
      await eventually(`${this.target(row)} to be known`, async () =>
        isDeepStrictEqual(await this.run(row), this.expected(row)),
      );
    }
  }

  target(row: Pick<Row, 'frontend' | 'protocol' | 'family' | 'policy' | 'backend'>): string {
    const { family } = row;
    const n = numberOf(row.policy, row.backend);
    const port = row.protocol === 'TCP' ? 80 : 53;
    switch (row.frontend) {
      case 'ClusterIP':
        return endpoint(family === 4 ? `10.96.1.${n}` : `fd00:96::1:${n}`, port);
      case 'LoadBalancer':
        return endpoint(loadBalancerIp(n, family), port);
      case 'ExternalIP':
        return endpoint(externalIp(n, family), port);
      case 'NodePort': {
        const ports = nodePorts(n);
        const address = addressOf(this.cluster.box.node('node1'), family);
        return endpoint(address, row.protocol === 'TCP' ? ports.tcp : ports.udp);
      }
    }
  }

  expected(row: Row): RowResult {
    const expectation = expectationOf(row, this.setting);
    const nothing = { ok: 0, byServer: {}, peers: {}, peerName: {} };
    if (expectation.outcome === 'silent') return { ...nothing, errors: { ETIMEDOUT: 1 } };
    if (expectation.outcome === 'refused') return { ...nothing, errors: { ECONNREFUSED: 1 } };
    const server = BACKEND_PODS[row.backend][0] as string;
    return {
      ok: COUNT,
      errors: {},
      byServer: { [server]: COUNT },
      peers: { [this.sourceAddress(row, expectation.source)]: COUNT },
      peerName: { [this.target(row)]: COUNT },
    };
  }

  private sourceAddress(row: Row, source: 'client' | 'node'): string {
    const { box } = this.cluster;
    if (source === 'client') {
      const name = isMasqueradedBefore(row, this.setting) ? 'node2' : CLIENT_PLACES[row.client];
      return addressOf(box.where(name) as AddressedPlace, row.family);
    }
    const backend = addressOf(box.pod(BACKEND_PODS[row.backend][0] as string), row.family);
    return this.sources.get(backend) as string;
  }

  async run(row: Row): Promise<RowResult> {
    const place = this.cluster.box.where(CLIENT_PLACES[row.client]);
    const { outcome } = expectationOf(row, this.setting);
    const report = await attempt(place, this.target(row), row, outcome);
    const { ok, errors, byServer, peers, peerName } = report;
    // A socket with IP_RECVERR, as the client's, is told that its own node dropped its datagram at egress (with
    // kube-proxy's DROP in OUTPUT it would be EPERM), unless it had to wait for its neighbour. Others hear nothing.
    if (row.client === 'host' && row.protocol === 'UDP' && errors.ENOBUFS) {
      const { ENOBUFS, ...others } = errors;
      return {
        ok,
        errors: { ...others, ETIMEDOUT: (errors.ETIMEDOUT ?? 0) + ENOBUFS },
        byServer,
        peers,
        peerName,
      };
    }
    return { ok, errors, byServer, peers, peerName };
  }

  /** Runs all rows, some at a time, in the background; each result by its row. */
  runAll(rows: readonly Row[]): Map<Row, Promise<RowResult>> {
    const results = new Map<Row, Promise<RowResult>>();
    const lanes = Array.from({ length: AT_A_TIME }, () => Promise.resolve());
    rows.forEach((row, i) => {
      const lane = i % AT_A_TIME;
      const result = (lanes[lane] as Promise<void>).then(() => this.run(row));
      // A failure is told to whoever asks for this row, and must not stop the lane.
      lanes[lane] = result.then(
        () => undefined,
        () => undefined,
      );
      results.set(row, result);
    });
    return results;
  }

  async close(): Promise<void> {
    await this.cluster.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function attempt(
  place: Parameters<typeof tcpClient>[0],
  to: string,
  row: Row,
  outcome: Expectation['outcome'],
): Promise<ClientReport> {
  const isServed = outcome === 'served';
  const options = {
    count: isServed ? COUNT : 1,
    timeoutMs: outcome === 'silent' ? 400 : 3000,
  };
  if (row.protocol === 'TCP') return tcpClient(place, to, options);
  // An ICMP error reaches connected sockets only.
  return udpClient(place, to, { ...options, connected: outcome === 'refused' });
}

function agentFlags(setting: Setting): string[] {
  return [
    `--cluster-cidr=${CLUSTER_CIDR4},${CLUSTER_CIDR6}`,
    `--host-routing=${setting.hostRouting}`,
    `--external-source=${setting.externalSource}`,
    ...(setting.masqueradeAll ? ['--masquerade-all'] : []),
    `--xdp=${setting.xdp}`,
  ];
}

function numberOf(policy: Policy, backend: Backend): number {
  return 1 + POLICIES.indexOf(policy) * BACKENDS.length + BACKENDS.indexOf(backend);
}

function nodePorts(n: number): { tcp: number; udp: number } {
  return { tcp: 30080 + n, udp: 30180 + n };
}

function loadBalancerIp(n: number, family: Family): string {
  return family === 4 ? `192.0.2.${n}` : `2001:db8:1::${n}`;
}

function externalIp(n: number, family: Family): string {
  return family === 4 ? `198.51.100.${n}` : `2001:db8:2::${n}`;
}

function serviceObjects(cluster: Cluster) {
  return POLICIES.flatMap((policy) =>
    BACKENDS.flatMap((backend) => {
      const number = numberOf(policy, backend);
      return standardService(cluster.box, {
        name: `${policy}-${backend}`.toLowerCase(),
        number,
        pods: BACKEND_PODS[backend],
        nodePorts: nodePorts(number),
        loadBalancerIPs: FAMILIES.map((family) => loadBalancerIp(number, family)),
        externalIPs: FAMILIES.map((family) => externalIp(number, family)),
        externalTrafficPolicy: policy,
        internalTrafficPolicy: policy,
      }).objects;
    }),
  );
}

async function routeServicesToNode1(cluster: Cluster): Promise<void> {
  const node1 = cluster.box.node('node1');
  const lines = [
    ...ROUTED_TO_NODE.map((range) => `route add ${range} via ${node1.ipv4} dev eth0`),
    ...ROUTED_TO_NODE6.map((range) => `route add ${range} via ${node1.ipv6} dev eth0`),
  ];
  await cluster.box.exec('outside', ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** What the kernel itself would use as node1's source towards each backend. */
async function nodeSources(cluster: Cluster): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  const pods = Object.values(BACKEND_PODS).flat();
  for (const backend of pods.flatMap((name) => FAMILIES.map((f) => addressOf(cluster.box.pod(name), f)))) {
    const { stdout } = await cluster.box.exec('node1', ['ip', '-json', 'route', 'get', backend]);
    const [route] = JSON.parse(stdout) as { prefsrc?: string }[];
    if (!route?.prefsrc) throw new Error(`route to ${backend}: no source in ${stdout}`);
    sources.set(backend, route.prefsrc);
  }
  return sources;
}
