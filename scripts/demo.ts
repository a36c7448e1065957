// `npm run demo`: two nodes, pods with real servers and an outside client in network namespaces, an agent on each
// node, and every Service of examples/ visited. Without a terminal it ends by itself.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Agent,
  type Box,
  type ClientReport,
  createBox,
  endpoint,
  repositoryRoot,
  tcpClient,
  udpClient,
} from '../box/index.js';
import type { ServiceRow } from '../src/cli/views/rows.js';
import { type DemoPod, readPods } from './demo/pods.js';
import { expectedServers, judge, type Names, type Visit } from './demo/visits.js';
import { sayWarnings } from './demo/warnings.js';

const EXAMPLES = join(repositoryRoot(), 'examples');
const CLIENTS = ['client1', 'client2'] as const;
const COUNT = 30;
/** A dropped packet shows only by waiting. */
const PATIENCE_MS = 700;

let interrupted: (signal: NodeJS.Signals) => void = () => {};
const interruption = new Promise<NodeJS.Signals>((resolve) => {
  interrupted = resolve;
});

async function main(): Promise<number> {
  // `on`, not `once`: while somebody listens, the box leaves the decision to us.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => interrupted(signal));
  const started = performance.now();
  const pods = readPods(EXAMPLES);
  say(`Building a cluster in a box: 2 nodes, ${pods.length} pods, an outside client ...`);
  const box = await createBox({
    nodes: 2,
    pods: [
      ...pods.map(({ boxName, node, ipv4, ipv6 }) => ({ name: boxName, node, ipv4, ipv6 })),
      { name: CLIENTS[0], node: 'node1' },
      { name: CLIENTS[1], node: 'node2' },
    ],
  });
  let code = 1;
  try {
    say(`Box ${box.id} is up after ${((performance.now() - started) / 1000).toFixed(1)} s.`);
    const agents = new Map<string, Agent>();
    const whole = runDemo(box, pods, agents);
    const ended = await Promise.race([whole, interruption]);
    if (typeof ended === 'string') {
      whole.catch(() => {}); // what is cut off fails, and nobody asks any more
      return 130;
    }
    code = ended ? 0 : 1;
    say(`\nThat took ${((performance.now() - started) / 1000).toFixed(1)} s.`);
    if (process.stdout.isTTY) {
      tellWhatToTry(box);
      const silence = sayWarnings(agents, say);
      await interruption;
      silence();
    }
  } finally {
    await box.close();
  }
  const left = traces(box);
  say(left.length === 0 ? 'Taken down; nothing is left behind.' : `Left behind: ${left.join(', ')}`);
  return left.length === 0 ? code : 1;
}

/** Whether everything went as the maps promise. */
async function runDemo(box: Box, pods: DemoPod[], agents: Map<string, Agent>): Promise<boolean> {
  await startServers(box, pods);
  say(`Starting an agent on each node: bin/shunt agent --manifests examples --replace-kube-proxy ...`);
  for (const node of box.nodes.values())
    agents.set(node.name, node.startAgent(['--manifests', EXAMPLES, '--replace-kube-proxy']));
  await Promise.all([...agents.values()].map((agent) => agent.waitReady()));
  say(`\n$ bin/shunt services        # in node1\n${await shunt(box, 'node1', ['services'])}`);
  const names = namesOf(box, pods);
  const [good, total] = await visitAll(box, names);
  say(`\n$ bin/shunt status          # in node1\n${await shunt(box, 'node1', ['status'])}`);
  say(`${good} of ${total} visits went as the Services say.`);
  return good === total;
}

async function startServers(box: Box, pods: DemoPod[]): Promise<void> {
  await Promise.all([
    ...pods
      .filter(({ http, udp }) => http.length + udp.length > 0)
      .map(({ boxName, name, http, udp }) => box.serve(boxName, { name, http, udp })),
    // The backend of the Service without selector.
    box.serve('outside', { name: 'outside', http: [9376], udp: [] }),
  ]);
  const { ipv4, ipv6 } = box.node('node1');
  // Load-balancer addresses: something outside would lead them to a node.
  await box.exec('outside', ['ip', 'route', 'add', '192.0.2.0/24', 'via', ipv4]);
  await box.exec('outside', ['ip', '-6', 'route', 'add', '2001:db8::/32', 'via', ipv6]);
}

function namesOf(box: Box, pods: DemoPod[]): Names {
  const names = new Map<string, string>([[box.outside.ipv4, 'outside']]);
  for (const { name, ipv4, ipv6 } of pods) names.set(ipv4, name).set(ipv6, name);
  return names;
}

async function visitAll(box: Box, names: Names): Promise<[good: number, total: number]> {
  const rows = {
    node1: JSON.parse(await shunt(box, 'node1', ['services', '-o', 'json'])) as ServiceRow[],
    node2: JSON.parse(await shunt(box, 'node2', ['services', '-o', 'json'])) as ServiceRow[],
  };
  let good = 0;
  let total = 0;
  let title = '';
  for (const [i, row] of rows.node1.entries()) {
    const port = `${row.namespace}/${row.name}${row.portName ? ` ${row.portName}` : ''}`;
    if (port !== title) say(`\n${port}`);
    title = port;
    if (row.protocol === 'SCTP') {
      say(`  ${row.type.padEnd(12)} ${endpoint(row.ip, row.port)}: not visited, the demo has no SCTP client`);
      continue;
    }
    const onNode2 = rows.node2[i];
    if (onNode2 === undefined || onNode2.name !== row.name)
      throw new Error('compare nodes: they serve different lists');
    for (const visit of visitsOf(box, row, onNode2)) {
      const verdict = judge(visit, await go(box, visit, names), attempts(visit, names), names);
      total += 1;
      if (verdict.good) good += 1;
      const where = `${row.type.padEnd(12)} ${endpoint(visit.ip, row.port)}/${row.protocol}`;
      say(`${verdict.good ? ' ' : '!'} ${where.padEnd(45)} from ${visit.client.padEnd(13)} ${verdict.text}`);
    }
  }
  return [good, total];
}

/** Cluster IPs from a pod on each node, the others from outside; NodePorts through each node. */
function visitsOf(box: Box, row: ServiceRow, onNode2: ServiceRow): Visit[] {
  const six = row.ip === '*' ? row.backends.some((b) => b.ip.includes(':')) : row.ip.includes(':');
  const address = (place: { ipv4: string; ipv6: string }) => (six ? place.ipv6 : place.ipv4);
  const nodes = [
    { node: 'node1', row, client: CLIENTS[0] },
    { node: 'node2', row: onNode2, client: CLIENTS[1] },
  ];
  if (row.type === 'ClusterIP') {
    return nodes.map((at) => ({
      row: at.row,
      client: `pod on ${at.node}`,
      from: at.client,
      sourceIp: address(box.pod(at.client)),
      ip: row.ip,
      node: at.node,
      scope: 'internal',
    }));
  }
  const outside = {
    client: 'outside',
    from: 'outside',
    sourceIp: address(box.outside),
    scope: 'external',
  } as const;
  if (row.type !== 'NodePort') return [{ ...outside, row, ip: row.ip, node: 'node1' }];
  return nodes.map((at) => ({ ...outside, row: at.row, ip: address(box.node(at.node)), node: at.node }));
}

function attempts(visit: Visit, names: Names): number {
  return expectedServers(visit, names).length === 0 ? 1 : COUNT;
}

function go(box: Box, visit: Visit, names: Names): Promise<ClientReport> {
  const count = attempts(visit, names);
  const to = endpoint(visit.ip, visit.row.port);
  const place = box.where(visit.from);
  const timeoutMs = count === 1 ? PATIENCE_MS : 2000;
  return visit.row.protocol === 'UDP'
    ? udpClient(place, to, { count, timeoutMs })
    : tcpClient(place, to, { count, timeoutMs });
}

async function shunt(box: Box, node: string, args: string[]): Promise<string> {
  const argv = [join(repositoryRoot(), 'bin/shunt'), ...args, '--pin-path', box.node(node).pinPath];
  return (await box.exec(node, argv)).stdout;
}

function tellWhatToTry(box: Box): void {
  const pins = box.node('node1').pinPath;
  const inside = (name: string) => `nsenter --net=${box.where(name).netns}`;
  say(`
The cluster stays up until Ctrl-C. In another terminal, as root, in this directory:

  bin/shunt services --pin-path ${pins}
  bin/shunt status   --pin-path ${pins}
  watch -n1 bin/shunt flows --pin-path ${pins}
  ${inside(CLIENTS[0])} build/box/netclient tcp --to 10.96.3.1:80 --count 10
  ${inside('outside')} build/box/netclient tcp --to ${box.node('node1').ipv4}:30391 --count 10
  ${inside('node1')} ip address

A change of a file in examples/ is served at once; what is wrong with it is said here.`);
}

/** What a closed box must not leave. */
function traces(box: Box): string[] {
  const prefix = `sb${box.id}-`;
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  return [
    ...namespaces.filter((name) => name.startsWith(prefix)).map((name) => `/run/netns/${name}`),
    ...[box.directory, box.outside.cgroup].filter((path) => existsSync(path)),
  ];
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});
