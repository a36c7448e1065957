/** A box that runs examples/ as written: its pods with real servers, a client pod on each node, an agent on each. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
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
} from '../../../box/index.js';
import { type DemoPod, readPods } from '../../../scripts/demo/pods.js';
import type { ServiceRow } from '../../../src/cli/views/rows.js';
import { addressOf, type Family } from './standard.js';

export const EXAMPLES = join(repositoryRoot(), 'examples');
/** Pod clients, by their node. */
export const CLIENTS = { node1: 'client1', node2: 'client2' } as const;
export type NodeName = keyof typeof CLIENTS;

/** What a test looks at: who answered and whom the servers saw; or why nothing came back. */
export interface Visit {
  servers: string[];
  sources: string[];
  errors: string[];
}

export class ExampleCluster implements AsyncDisposable {
  readonly agents = new Map<string, Agent>();

  private constructor(
    readonly box: Box,
    readonly manifests: string,
    private readonly pods: DemoPod[],
  ) {}

  /**
   * Servers are named `<pod>:<port>`, one process for each port, so that an answer tells the port that it came from.
   * @param o.without documents of the examples that are not there at first, by text that only they have.
   * @param o.serverless names of pods that the caller gives a server of its own.
   */
  static async start(o: { without?: string[]; serverless?: string[] } = {}): Promise<ExampleCluster> {
    const pods = readPods(EXAMPLES);
    const clients = Object.entries(CLIENTS).map(([node, name]) => ({ name, node }));
    const box = await createBox({
      nodes: 2,
      pods: [...pods.map(({ boxName: name, node, ipv4, ipv6 }) => ({ name, node, ipv4, ipv6 })), ...clients],
    });
    try {
      const manifests = join(box.directory, 'manifests');
      mkdirSync(manifests);
      cpSync(EXAMPLES, manifests, { recursive: true });
      const cluster = new ExampleCluster(box, manifests, pods);
      for (const text of o.without ?? []) cluster.remove(text);
      await cluster.serve(o.serverless ?? []);
      await cluster.routeLoadBalancers();
      await Promise.all([...box.nodes.keys()].map((node) => cluster.startAgent(node)));
      return cluster;
    } catch (error) {
      await box.close();
      throw error;
    }
  }

  private async serve(serverless: string[]): Promise<void> {
    const servers = this.pods
      .filter(({ name }) => !serverless.includes(name))
      .flatMap(({ name, boxName, http, udp }) =>
        [...new Set([...http, ...udp])].map((port) =>
          this.box.serve(boxName, {
            name: `${name}:${port}`,
            http: http.filter((each) => each === port),
            udp: udp.filter((each) => each === port),
          }),
        ),
      );
    // The backend of the Service without selector.
    servers.push(this.box.serve('outside', { name: 'outside:9376', http: [9376], udp: [] }));
    await Promise.all(servers);
  }

  /** Load-balancer addresses: something outside would lead them to a node. */
  private async routeLoadBalancers(): Promise<void> {
    const { ipv4, ipv6 } = this.box.node('node1');
    await this.box.exec('outside', ['ip', 'route', 'add', '192.0.2.0/24', 'via', ipv4]);
    await this.box.exec('outside', ['ip', '-6', 'route', 'add', '2001:db8::/32', 'via', ipv6]);
  }

  private async startAgent(node: string): Promise<void> {
    const agent = this.box.node(node).startAgent(['--manifests', this.manifests, '--replace-kube-proxy']);
    this.agents.set(node, agent);
    await agent.waitReady();
  }

  /** Changes the text of one manifest, as an editor does. */
  edit(file: string, change: (text: string) => string): void {
    const path = join(this.manifests, file);
    const text = change(readFileSync(path, 'utf8'));
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }

  /** Takes the one document away that has this line. */
  remove(line: string): void {
    const holds = (document: string) => document.split('\n').includes(line);
    const files = readdirSync(this.manifests).filter((file) =>
      holds(readFileSync(join(this.manifests, file), 'utf8')),
    );
    const [file] = files;
    if (file === undefined || files.length > 1) throw new Error(`remove "${line}": it is in [${files}].`);
    this.edit(file, (text) =>
      text
        .split('\n---\n')
        .filter((document) => !holds(document))
        .join('\n---\n'),
    );
  }

  /** The file as it is in examples/. */
  restore(file: string): void {
    this.edit(file, () => readFileSync(join(EXAMPLES, file), 'utf8'));
  }

  /** Name in the box of a pod whose name is unique in the examples. */
  boxName(pod: string): string {
    const [found, ...others] = this.pods.filter(({ name }) => name === pod);
    if (!found || others.length > 0) throw new Error(`find pod ${pod}: not exactly one has that name.`);
    return found.boxName;
  }

  /** 20 connections or datagrams of new sockets; one attempt with less patience where nothing is expected. */
  async visit(
    from: string,
    ip: string,
    port: number,
    o: { protocol?: 'TCP' | 'UDP'; expect?: 'nothing' } = {},
  ): Promise<Visit> {
    const limits = o.expect === 'nothing' ? { count: 1, timeoutMs: 700 } : { count: 20, timeoutMs: 2000 };
    const place = this.box.where(from);
    const report: ClientReport =
      o.protocol === 'UDP'
        ? await udpClient(place, endpoint(ip, port), limits)
        : await tcpClient(place, endpoint(ip, port), limits);
    const names = (counts: Record<string, number>) => Object.keys(counts).sort();
    return {
      servers: names(report.byServer),
      sources: names(report.peers),
      errors: names(report.errors),
    };
  }

  /** The node's own address. */
  address(node: NodeName | 'outside', family: Family): string {
    return addressOf(node === 'outside' ? this.box.outside : this.box.node(node), family);
  }

  /** Address of the client pod of a node. */
  clientAddress(node: NodeName, family: Family): string {
    return addressOf(this.box.pod(CLIENTS[node]), family);
  }

  async shunt<T>(node: string, args: string[]): Promise<T> {
    const argv = [join(repositoryRoot(), 'bin/shunt'), ...args, '-o', 'json'];
    const { stdout } = await this.box.exec(node, [...argv, '--pin-path', this.box.node(node).pinPath]);
    return JSON.parse(stdout) as T;
  }

  services(node: string): Promise<ServiceRow[]> {
    return this.shunt(node, ['services']);
  }

  async close(): Promise<void> {
    await this.box.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
