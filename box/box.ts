/** The cluster in a box: nodes, pods and an outside client out of network namespaces. */
import { randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, type AgentOptions } from './agent.js';
import { buildNetwork, buildPod } from './build.js';
import { findCgroup2 } from './cgroup.js';
import { forget, remember } from './exit.js';
import { tunnelArguments } from './network.js';
import {
  type BoxOptions,
  type BoxPlan,
  type NodePlan,
  type PodPlan,
  type PodSpec,
  planBox,
  planPod,
} from './options.js';
import { RUN_DIRECTORY, toolPath } from './paths.js';
import {
  BoxProcess,
  type ExecOptions,
  type ExecResult,
  finish,
  type Place,
  type SpawnOptions,
} from './process.js';
import { type ServeOptions, startServer } from './servers.js';
import { run } from './shell.js';
import {
  type BoxState,
  killProcesses,
  reapStale,
  removeCgroups,
  startTime,
  tearDown,
  writeState,
} from './state.js';

/** A place with both of its addresses. */
export interface AddressedPlace extends Place {
  ipv4: string;
  ipv6: string;
}

export interface BoxNode extends AddressedPlace {
  plan: NodePlan;
  /** Directory on a BPF file system, for this node alone. */
  bpffs: string;
  /** Where its agent pins: a directory in bpffs that does not exist yet. */
  pinPath: string;
  /** Name of the interface towards the other nodes and the outside. */
  uplink: 'eth0';
  /** Runs `bin/shunt agent` with --hostname-override, --pin-path and --cgroup filled in where args lack them. */
  startAgent(args: string[], options?: AgentOptions): Agent;
}

export interface BoxPod extends AddressedPlace {
  plan: PodPlan;
  node: string;
  /** Its veth end in the node's namespace. */
  hostInterface: string;
}

export interface BoxOutside extends AddressedPlace {
  /** All of its addresses; the first is the default source. */
  addresses4: string[];
  addresses6: string[];
}

export type Where = string | Place;

/**
 * Builds a box. Needs root. Boxes of dead owners are removed first.
 * Takes the box down again when anything fails, and when this process exits.
 */
export async function createBox(options: BoxOptions = {}): Promise<Box> {
  reapStale();
  const id = Array.from({ length: 5 }, () => 'abcdefghijkmnpqrstuvwxyz23456789'[randomInt(32)]).join('');
  const box = new Box(planBox(id, options));
  try {
    await box.build();
  } catch (error) {
    try {
      await box.close();
    } catch (second) {
      throw new AggregateError([error, second], `build box ${id}: ${(error as Error).message}`);
    }
    throw error;
  }
  return box;
}

export class Box {
  readonly nodes = new Map<string, BoxNode>();
  readonly pods = new Map<string, BoxPod>();
  readonly outside: BoxOutside;
  /** The underlay's bridge; its ports are p-<node> and p-outside. */
  readonly switch: Place;
  /** For manifests and files of tests; removed with the box. */
  readonly directory: string;
  private readonly state: BoxState;
  private readonly processes = new Set<BoxProcess>();
  private closed: Promise<void> | undefined;

  /** Use createBox(). */
  constructor(readonly plan: BoxPlan) {
    this.directory = join(RUN_DIRECTORY, plan.id);
    const found = findCgroup2();
    const cgroupMount = found ?? join(this.directory, 'cgroup2');
    const bpffs = join(this.directory, 'bpf');
    this.state = {
      id: plan.id,
      ownerPid: process.pid,
      ownerStart: startTime(process.pid) ?? '',
      namespaces: [
        plan.switchNamespace,
        plan.outside.namespace,
        ...plan.nodes.map((node) => node.namespace),
        ...plan.pods.map((pod) => pod.namespace),
      ],
      directory: this.directory,
      mounts: found ? [bpffs] : [cgroupMount, bpffs],
      bpffs,
      cgroup: join(cgroupMount, `shunt-box-${plan.id}`),
    };
    for (const node of plan.nodes) this.nodes.set(node.name, this.makeNode(node));
    for (const pod of plan.pods) this.pods.set(pod.name, this.makePod(pod));
    this.switch = this.place('switch', plan.switchNamespace, 'switch');
    this.outside = {
      ...this.place('outside', plan.outside.namespace, 'outside'),
      ipv4: plan.outside.ipv4[0] as string,
      ipv6: plan.outside.ipv6[0] as string,
      addresses4: plan.outside.ipv4,
      addresses6: plan.outside.ipv6,
    };
  }

  get id(): string {
    return this.plan.id;
  }

  node(name: string): BoxNode {
    const node = this.nodes.get(name);
    if (!node)
      throw new Error(`find node ${name}: the box has ${[...this.nodes.keys()].join(', ')} (ENOENT).`);
    return node;
  }

  pod(name: string): BoxPod {
    const pod = this.pods.get(name);
    if (!pod) throw new Error(`find pod ${name}: the box has ${[...this.pods.keys()].join(', ')} (ENOENT).`);
    return pod;
  }

  /** A node, a pod, 'outside' or 'switch', by name. */
  where(where: Where): Place {
    if (typeof where !== 'string') return where;
    if (where === 'outside') return this.outside;
    if (where === 'switch') return this.switch;
    return this.nodes.get(where) ?? this.pod(where);
  }

  /** Runs a program to its end. Throws BoxCommandError on an exit code other than 0 or a time limit. */
  exec(where: Where, argv: string[], options: ExecOptions = {}): Promise<ExecResult> {
    return finish(this.spawn(where, argv, options), options);
  }

  /** Starts a program; it ends with the box at the latest. */
  spawn(where: Where, argv: string[], options: SpawnOptions = {}): BoxProcess {
    return this.track(new BoxProcess(this.where(where), argv, options));
  }

  /** Starts podserver and waits until it listens. Default: HTTP on 8080, UDP on 9000, both families. */
  async serve(where: Where, options: ServeOptions = {}): Promise<BoxProcess> {
    return this.track(await startServer(this.where(where), options));
  }

  /** Adds a pod while the box is running. */
  async addPod(spec: PodSpec): Promise<BoxPod> {
    const plan = planPod(this.plan, spec);
    this.plan.pods.push(plan);
    this.state.namespaces.push(plan.namespace);
    writeState(this.state);
    const pod = this.makePod(plan);
    this.pods.set(plan.name, pod);
    mkdirSync(pod.cgroup, { recursive: true });
    await buildPod(this.plan, plan);
    return pod;
  }

  /** Ends the pod's processes and removes its namespace; the node's veth end goes with it. */
  async removePod(name: string): Promise<void> {
    const pod = this.pod(name);
    killProcesses(pod.cgroup);
    removeCgroups(pod.cgroup);
    // The namespace lives on for a moment after its name is gone: the link must not.
    await run('ip', ['-n', this.node(pod.node).plan.namespace, 'link', 'del', pod.hostInterface]);
    await run('ip', ['netns', 'del', pod.plan.namespace]);
    this.pods.delete(name);
    this.plan.pods.splice(this.plan.pods.indexOf(pod.plan), 1);
    this.state.namespaces.splice(this.state.namespaces.indexOf(pod.plan.namespace), 1);
    writeState(this.state);
  }

  /** Removes everything. May be called twice, and after a failed build. */
  close(): Promise<void> {
    this.closed ??= (async () => {
      const running = [...this.processes].filter((p) => p.running);
      for (const process of running) process.kill('SIGKILL');
      this.closeSync();
      await Promise.all(running.map((process) => process.exited));
    })();
    return this.closed;
  }

  /** For exit handlers: the same without waiting for the processes' last output. */
  closeSync(): void {
    for (const process of this.processes) process.kill('SIGKILL');
    tearDown(this.state);
    forget(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Called once by createBox(). */
  async build(): Promise<void> {
    if (process.getuid?.() !== 0) throw new Error('build a box: not root (EPERM). Run it as root.');
    writeState(this.state);
    remember(this);
    await this.mount();
    for (const place of [this.outside, this.switch, ...this.nodes.values(), ...this.pods.values()]) {
      mkdirSync(place.cgroup, { recursive: true });
    }
    for (const node of this.nodes.values()) mkdirSync(node.bpffs);
    await buildNetwork(this.plan);
    await Promise.all([...this.nodes.values()].map((node) => this.startTunnel(node)));
  }

  private async startTunnel(node: BoxNode): Promise<void> {
    const argv = tunnelArguments(this.plan, node.plan);
    if (!argv) return;
    await this.spawn(node, [toolPath('tunnel'), ...argv]).waitForLine(/"event":"ready"/, 10_000);
  }

  private async mount(): Promise<void> {
    for (const directory of this.state.mounts) {
      mkdirSync(directory, { recursive: true });
      const type = directory === this.state.bpffs ? 'bpf' : 'cgroup2';
      await run('mount', ['-t', type, `shunt-box-${this.id}`, directory]);
    }
  }

  private track(process: BoxProcess): BoxProcess {
    this.processes.add(process);
    void process.exited.then(() => this.processes.delete(process));
    return process;
  }

  private place(name: string, namespace: string, cgroup: string): Place {
    return {
      name,
      netns: `/run/netns/${namespace}`,
      cgroup: join(this.state.cgroup, cgroup),
      directory: this.directory,
    };
  }

  private makeNode(plan: NodePlan): BoxNode {
    const bpffs = join(this.state.bpffs, plan.name);
    const node: BoxNode = {
      ...this.place(plan.name, plan.namespace, plan.name),
      plan,
      ipv4: plan.ipv4,
      ipv6: plan.ipv6,
      bpffs,
      pinPath: join(bpffs, 'shunt'),
      uplink: 'eth0',
      startAgent: (args, options) => {
        const agent = new Agent(node, args, options);
        this.track(agent.process);
        return agent;
      },
    };
    return node;
  }

  private makePod(plan: PodPlan): BoxPod {
    return {
      // Below the node's: programs on the node's cgroup see the pods' sockets, as on a real node.
      ...this.place(plan.name, plan.namespace, join(plan.node, 'pods', plan.name)),
      plan,
      node: plan.node,
      ipv4: plan.ipv4,
      ipv6: plan.ipv6,
      hostInterface: plan.hostInterface,
    };
  }
}
