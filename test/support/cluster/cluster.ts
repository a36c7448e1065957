/** A box whose nodes run agents, fed from a manifests directory; with servers in every pod. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Agent,
  type Box,
  type BoxOptions,
  createBox,
  PATIENCE,
  repositoryRoot,
  tcpClient,
  type Where,
} from '../../../box/index.js';
import { type KubeObject, nodeObject } from './objects.js';

export interface ClusterOptions {
  box?: BoxOptions;
  /** Further flags of every agent; `--manifests` and `--replace-kube-proxy` are given unless `source` is. */
  agentArgs?: string[];
  /** Flags that replace `--manifests DIR`. */
  source?: string[];
  /** Pods that run servers on HTTP 8080, 9376 and UDP 9000, 5353. Default: all. */
  servers?: boolean;
  /** Leave it to the test to start the agents. */
  agentless?: boolean;
  /** Objects that exist before the agents start. */
  objects?: KubeObject[];
}

export class Cluster implements AsyncDisposable {
  readonly agents = new Map<string, Agent>();

  private constructor(
    readonly box: Box,
    readonly manifests: string,
    private readonly agentFlags: string[],
  ) {}

  static async start(o: ClusterOptions = {}): Promise<Cluster> {
    const box = await createBox(o.box ?? {});
    try {
      const manifests = join(box.directory, 'manifests');
      mkdirSync(manifests);
      const flags = [
        ...(o.source ?? ['--manifests', manifests]),
        '--replace-kube-proxy',
        ...(o.agentArgs ?? []),
      ];
      const cluster = new Cluster(box, manifests, flags);
      cluster.apply('00-nodes', Cluster.nodeObjects(box));
      if (o.objects) cluster.apply('10-objects', o.objects);
      if (o.servers !== false) {
        const places = [...box.pods.values()];
        await Promise.all(places.map((pod) => box.serve(pod, { http: [8080, 9376], udp: [9000, 5353] })));
      }
      if (o.agentless) return cluster;
      await Promise.all([...box.nodes.keys()].map((node) => cluster.startAgent(node)));
      return cluster;
    } catch (error) {
      await box.close();
      throw error;
    }
  }

  static nodeObjects(box: Box): KubeObject[] {
    return [...box.nodes.values()].map((node) =>
      nodeObject(node.name, [node.ipv4, node.ipv6], {
        zone: `zone-${node.plan.number}`,
        podCIDRs: [node.plan.podCidr4, node.plan.podCidr6],
      }),
    );
  }

  async startAgent(node: string, flags: string[] = this.agentFlags): Promise<Agent> {
    const agent = this.box.node(node).startAgent(flags);
    this.agents.set(node, agent);
    await agent.waitReady();
    return agent;
  }

  agent(node: string): Agent {
    const agent = this.agents.get(node);
    if (!agent) throw new Error(`find the agent of ${node}: none was started`);
    return agent;
  }

  /** Writes one manifest file by rename, as an editor or kubectl-like tool does; no objects: removes it. */
  apply(file: string, objects: KubeObject[]): void {
    const path = join(this.manifests, `${file}.yaml`);
    if (objects.length === 0) {
      rmSync(path, { force: true });
      return;
    }
    const text = objects.map((object) => JSON.stringify(object)).join('\n---\n');
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }

  /** Runs `bin/shunt ... --pin-path` in a node and parses its JSON. */
  async shunt<T>(node: string, args: string[]): Promise<T> {
    const place = this.box.node(node);
    const argv = [join(repositoryRoot(), 'bin/shunt'), ...args, '-o', 'json', '--pin-path', place.pinPath];
    const { stdout } = await this.box.exec(place as Where, argv, { timeoutMs: 20_000 });
    return JSON.parse(stdout) as T;
  }

  /** Waits until a TCP connection from there succeeds: the agents have seen the change. */
  async reachable(from: string, to: string): Promise<void> {
    await eventually(`${to} to answer ${from}`, async () => {
      const place = this.box.where(from);
      return (await tcpClient(place, to, { count: 1, timeoutMs: 500 })).ok === 1;
    });
  }

  async close(): Promise<void> {
    await this.box.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Polls until the check returns something true; throws its last answer after the limit. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T> | T,
  timeoutMs = 10_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs * PATIENCE;
  let last: unknown;
  do {
    try {
      const value = await check();
      if (value) return value as NonNullable<T>;
      last = value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (Date.now() < end);
  throw new Error(`wait for ${what}: not within ${timeoutMs} ms; last: ${String(last)}`);
}
