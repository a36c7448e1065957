/** One box for each way of balancing, side by side: none can slow another down while it is not its turn. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Box, createBox, repositoryRoot, toolPath } from '../../box/index.js';
import { CLUSTER_CIDR4, CLUSTER_CIDR6 } from '../../box/options.js';
import { renderRules } from './nftables.js';
import { measuredServices, otherServices, PORTS, renderManifest } from './services.js';

export const VARIANTS = ['direct', 'nftables', 'shunt'] as const;
export type Variant = (typeof VARIANTS)[number];

export interface FleetOptions {
  /** Services besides those measured. */
  services: number;
  families: readonly (4 | 6)[];
  /** Boxes whose nodes can transmit by XDP, with `--xdp=force`. Costs every sender its checksum offload. */
  xdp: boolean;
  cpus: BenchCpus;
  log(line: string): void;
}

/** CPU lists as `taskset -c` takes them. */
export interface BenchCpus {
  client: string;
  server: string;
}

/** Boxes of all variants. */
export class Fleet implements AsyncDisposable {
  readonly boxes = new Map<Variant, Box>();

  private constructor(readonly options: FleetOptions) {}

  static async start(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    try {
      for (const variant of VARIANTS) fleet.boxes.set(variant, await fleet.#makeBox(variant));
    } catch (error) {
      await fleet.close();
      throw error;
    }
    return fleet;
  }

  box(variant: Variant): Box {
    return this.boxes.get(variant) as Box;
  }

  async close(): Promise<void> {
    await Promise.all([...this.boxes.values()].map((box) => box.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #makeBox(variant: Variant): Promise<Box> {
    const { log, xdp, services } = this.options;
    const began = performance.now();
    const box = await createBox({ xdp });
    this.boxes.set(variant, box);
    await Promise.all(['a2', 'b1'].map((pod) => this.#serve(box, pod)));
    if (variant === 'nftables') await this.#addRules(box);
    if (variant === 'shunt') await this.#startAgents(box);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    log(`${variant}${xdp ? ' (XDP)' : ''}: ready with ${services} more services after ${seconds} s`);
    return box;
  }

  /** Servers on a CPU of their own, so that they do not take turns with the load generator. */
  async #serve(box: Box, pod: string): Promise<void> {
    const argv = [toolPath('podserver'), '--name', pod];
    const ports = ['--http', String(PORTS.TCP.pod), '--udp', String(PORTS.UDP.pod)];
    const server = box.spawn(pod, ['taskset', '-c', this.options.cpus.server, ...argv, ...ports]);
    await server.waitForLine(/"event":"ready"/, 10_000);
  }

  async #addRules(box: Box): Promise<void> {
    const { families, services } = this.options;
    const all = [...measuredServices(box, families), ...otherServices(services, families)];
    for (const node of box.nodes.values()) {
      const rules = families.map((family) =>
        renderRules({
          family,
          services: all,
          nodeIps: [family === 4 ? node.ipv4 : node.ipv6],
          clusterCidr: family === 4 ? CLUSTER_CIDR4 : CLUSTER_CIDR6,
        }),
      );
      // Not in the node's cgroup: loading is no part of what is measured.
      await box.exec(node, ['nft', '-f', '-'], { input: rules.join('\n'), timeoutMs: 300_000 });
    }
  }

  async #startAgents(box: Box): Promise<void> {
    const { families, services, xdp } = this.options;
    const directory = join(box.directory, 'manifests');
    mkdirSync(directory);
    const all = [...measuredServices(box, families), ...otherServices(services, families)];
    writeFileSync(join(directory, 'services.json'), renderManifest(box, all));
    const args = ['--manifests', directory, '--replace-kube-proxy', `--xdp=${xdp ? 'force' : 'off'}`];
    const agents = [...box.nodes.values()].map((node) => node.startAgent(args));
    await Promise.all(agents.map((agent) => agent.waitReady(180_000)));
  }
}

/** Packets that each path of a node has taken so far, by name. */
export async function pathCounts(box: Box, node: string): Promise<Record<string, number>> {
  const place = box.node(node);
  const argv = [join(repositoryRoot(), 'bin/shunt'), 'status', '-o', 'json', '--pin-path', place.pinPath];
  const { stdout } = await box.exec(place, argv, { timeoutMs: 20_000 });
  const { paths } = JSON.parse(stdout) as { paths: Record<string, { packets: number }> };
  return Object.fromEntries(Object.entries(paths).map(([name, { packets }]) => [name, packets]));
}
