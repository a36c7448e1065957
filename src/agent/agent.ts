import type { EventRecorder } from '../kube/event-recorder.js';
import type { Source } from '../kube/source.js';
import type { DesiredService, HealthCheck } from '../model/desired.js';
import type { Change, Warning } from '../model/objects.js';
import { Attacher } from './attach.js';
import type { AttachedDevice } from './attached.js';
import {
  attachCgroupHooks,
  type CgroupHooksOptions,
  detachCgroupHooks,
  lostCgroupHooks,
} from './cgroup-hooks.js';
import { type Counters, newCounters } from './counters.js';
import type { Delta, Written } from './delta.js';
import { messageOf } from './errors.js';
import { forwardingWarnings } from './features.js';
import { Guard } from './guard.js';
import { HealthChecks } from './health/health-checks.js';
import { healthCheckPlaces } from './health/places.js';
import { ProxyHealth } from './health/proxy-health.js';
import type { HookPort, PinDirectory } from './hook-port.js';
import { HostWatch, type NetlinkPort } from './host.js';
import { type Logger, WarningLog } from './log.js';
import type { Listener } from './node-ports/listeners.js';
import { NodePortWatch } from './node-ports/watch.js';
import type { NodeTables } from './node-tables.js';
import { NodeWatch } from './node-watch.js';
import type { AgentOptions } from './options.js';
import { StatusFile } from './status-file.js';
import { type ModelPort, type Programmer, Updater } from './updater.js';

/** What the agent is made of; main.ts takes the real ones, tests others. */
export interface AgentParts<Program> {
  options: AgentOptions;
  source: Source;
  model: ModelPort<DesiredService>;
  programmer: Programmer<DesiredService>;
  tables: NodeTables;
  netlink: NetlinkPort;
  hooks: HookPort<Program>;
  pins: PinDirectory;
  program: (name: string) => Program;
  /** Where socket hooks go; undefined: nowhere. */
  cgroupPath: string | undefined;
  cgroupId: (path: string) => bigint;
  /** Removes expired flows, a bounded number per call; resolves to how many. */
  sweepFlows: () => Promise<number>;
  /** Sockets of this node that listen. */
  readListeners: () => Listener[];
  /** Where authors of objects are told; absent without an API server. */
  events?: Pick<EventRecorder, 'learn' | 'record' | 'stop'> | undefined;
  /** Pins maps again whose pins are gone; their names. */
  restorePins: () => string[];
  log: Logger;
  /** Hears of all that the metrics are made of. */
  observer?: AgentObserver;
}

export interface AgentObserver {
  delta(delta: Delta<DesiredService>): void;
  written(written: Written): void;
}

export interface AgentStatus {
  nodeName: string;
  pid: number;
  serving: boolean;
  nodeKnown: boolean;
  /** Service ports, one per family. */
  services: number;
  counters: Counters;
  /** Event received -> maps written, of the latest events after the first write. */
  latencyMs: { samples: number; p50: number | undefined; p99: number | undefined };
  devices: AttachedDevice[];
}

const HEARTBEAT_MS = 1000;
const SWEEP_MS = 100;
/** Attaching does not wait longer than this for the Node object. */
const NODE_WAIT_MS = 5000;

/**
 * source -> model -> plan -> maps, and netlink -> devices -> hooks. Whatever ends it, even SIGKILL, leaves the
 * data path as it is: programs, links and maps are pinned.
 */
export class Agent<Program> {
  readonly health: ProxyHealth;
  readonly #p: AgentParts<Program>;
  readonly #counters = newCounters();
  readonly #warnings: WarningLog;
  readonly #attacher: Attacher<Program>;
  readonly #updater: Updater<DesiredService>;
  readonly #host: HostWatch;
  readonly #node: NodeWatch;
  readonly #guard: Guard;
  readonly #healthChecks: HealthChecks;
  readonly #nodePorts: NodePortWatch;
  /** What health checks shall say once the maps have it; undefined: nothing any more. */
  readonly #healthDue = new Map<string, HealthCheck | undefined>();
  readonly #statusFile: StatusFile | undefined;
  readonly #startedMs = performance.now();
  #timers: NodeJS.Timeout[] = [];
  #sweeping = false;
  #stopped = false;

  constructor(parts: AgentParts<Program>) {
    this.#p = parts;
    const { options, log, tables, netlink, hooks, pins, program, model, programmer } = parts;
    const counters = this.#counters;
    this.#warnings = new WarningLog(log);
    this.#statusFile = options.statusFile === undefined ? undefined : new StatusFile(options.statusFile);
    const warnings = this.#warnings;
    this.#attacher = new Attacher({ hooks, pins, program, xdp: options.xdp, log, warnings, counters });
    this.#updater = new Updater({
      model,
      programmer,
      counters,
      log,
      onWarning: (warning) => this.#warn(warning),
      onServing: () => this.#serving(),
      onDelta: (delta) => this.#computed(delta),
      onWritten: (written) => this.#written(written),
    });
    this.health = new ProxyHealth({
      nodeName: options.nodeName,
      progress: this.#updater,
      staleMs: options.healthStaleS * 1000,
    });
    this.#healthChecks = new HealthChecks({ isHealthy: () => this.health.healthy, warnings });
    this.#nodePorts = new NodePortWatch({
      readListeners: parts.readListeners,
      onWarning: (warning) => this.#warn(warning),
      log,
    });
    this.#host = new HostWatch({
      netlink,
      log,
      onChange: (changes) => this.#node.hostChanged(changes),
      onResync: () => counters.hostResyncs++,
    });
    this.#node = new NodeWatch({
      options,
      host: this.#host,
      attacher: this.#attacher,
      tables,
      counters,
      log,
      onAddresses: (addresses) => {
        this.#nodePorts.setAddresses(addresses);
        this.#updater.setNodeAddresses(addresses);
        this.#healthChecks.setPlaces(healthCheckPlaces(addresses, options.nodePortAddresses));
      },
    });
    this.#guard = new Guard({
      restorePins: parts.restorePins,
      lostSocketHooks: () =>
        this.#cgroup === undefined ? [] : lostCgroupHooks(this.#hookParts, this.#cgroup),
      attachSocketHooks: () => this.#socketHooks(),
      lostPrograms: () => this.#attacher.findLost(),
      attachPrograms: (lost) => this.#node.attachAgain(lost),
      stateOf: (program) => this.#attacher.stateOf(program),
      counters,
      log,
    });
  }

  /** Resolves when everything runs; serving begins when the source has listed. @throws what netlink throws. */
  async start(): Promise<void> {
    this.#p.tables.heartbeat();
    this.#socketHooks();
    await this.#host.start();
    if (this.#stopped) return;
    for (const text of forwardingWarnings(this.#node.hasIPv6)) this.#p.log.warn(text);
    this.#p.source.start({
      changes: (changes) => this.#objectsChanged(changes),
      synced: () => this.#synced(),
      warning: (warning) => this.#warn(warning),
    });
    this.#guard.start();
    this.#nodePorts.start();
    this.#timers = [
      setInterval(() => this.#beat(), HEARTBEAT_MS),
      setInterval(() => void this.#sweep(), SWEEP_MS),
      setTimeout(() => this.#node.release(), NODE_WAIT_MS),
    ];
  }

  /** Ends watching and writing; what is attached and written stays. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#guard.stop();
    this.#healthChecks.close();
    this.#nodePorts.stop();
    this.#host.close();
    this.#node.stop();
    await this.#p.source.stop();
    await this.#updater.stop();
    await this.#p.events?.stop();
    this.#writeStatus();
  }

  /** Services that did not fit may fit now. */
  writeAgain(): void {
    this.#updater.writeAgain();
  }

  /** Something behind a write failed: everything is compared and written again. */
  writeFailed(error: unknown): void {
    this.#updater.fail(error);
  }

  status(): AgentStatus {
    const latency = this.#updater.latencyMs;
    return {
      nodeName: this.#p.options.nodeName,
      pid: process.pid,
      serving: this.#updater.serving,
      nodeKnown: this.#node.nodeKnown,
      services: this.#updater.services,
      counters: { ...this.#counters },
      latencyMs: { samples: latency.count, p50: latency.percentile(0.5), p99: latency.percentile(0.99) },
      devices: this.#attacher.devices,
    };
  }

  /** How the writer of the maps gets on. */
  get progress(): Pick<Updater<DesiredService>, 'lastQueuedMs' | 'lastWrittenMs' | 'pending'> {
    return this.#updater;
  }

  get healthCheckStats(): HealthChecks['stats'] {
    return this.#healthChecks.stats;
  }

  /** NodePorts whose number a process of this node listens on. */
  get takenNodePorts(): number {
    return this.#nodePorts.taken;
  }

  #computed(delta: Delta<DesiredService>): void {
    this.#nodePorts.changed(delta);
    for (const key of delta.healthChecks?.removals ?? []) this.#healthDue.set(key, undefined);
    for (const check of delta.healthChecks?.upserts ?? [])
      this.#healthDue.set(`${check.namespace}/${check.name}`, check);
    this.#p.observer?.delta(delta);
  }

  #written(written: Written): void {
    if (this.#healthDue.size > 0 && !this.#stopped) {
      const upserts = [...this.#healthDue.values()].filter((check) => check !== undefined);
      const removals = [...this.#healthDue].filter(([, check]) => !check).map(([key]) => key);
      this.#healthDue.clear();
      this.#healthChecks.update({ upserts, removals });
    }
    if (!this.#stopped) this.#nodePorts.written();
    this.#p.observer?.written(written);
  }

  #objectsChanged(changes: Change[]): void {
    this.health.objectsChanged(changes);
    this.#node.objectsChanged(changes);
    this.#p.events?.learn(changes);
    this.#updater.enqueue(changes);
  }

  #synced(): void {
    const { options, log } = this.#p;
    this.#node.release();
    this.#updater.markSynced();
    if (this.#node.nodeKnown) return;
    log.warn(
      { node: options.nodeName },
      `find Node ${options.nodeName}: not among the cluster's Nodes. no endpoint counts as local and no zone is known; pass --hostname-override with the name that 'kubectl get nodes' shows`,
    );
  }

  #serving(): void {
    this.#p.tables.beginFlows();
    this.#p.log.info(
      { services: this.#updater.services, startMs: Math.round(performance.now() - this.#startedMs) },
      'serving',
    );
    this.#writeStatus();
  }

  #warn(warning: Warning): void {
    const { object, field, message } = warning;
    if (this.#warnings.warn(field === '' ? { object } : { object, field }, message))
      this.#p.events?.record(warning);
  }

  /** Where socket hooks belong; undefined: nowhere. */
  get #cgroup(): string | undefined {
    return this.#p.options.socketLb === 'off' ? undefined : this.#p.cgroupPath;
  }

  get #hookParts(): CgroupHooksOptions<Program> {
    const { hooks, pins, program, cgroupId, log } = this.#p;
    return { hooks, pins, program, cgroupId, log, warnings: this.#warnings };
  }

  #socketHooks(): void {
    const cgroup = this.#cgroup;
    if (cgroup === undefined) detachCgroupHooks(this.#hookParts);
    else if (attachCgroupHooks(this.#hookParts, cgroup))
      this.#p.log.info({ cgroup }, 'socket hooks attached');
  }

  #beat(): void {
    this.#p.tables.heartbeat();
    this.#writeStatus();
  }

  #writeStatus(): void {
    if (!this.#statusFile) return;
    try {
      this.#statusFile.write(this.status());
    } catch (error) {
      this.#warnings.warn({}, messageOf(error));
    }
  }

  async #sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      this.#counters.flowsSwept += await this.#p.sweepFlows();
    } catch (error) {
      this.#warnings.warn({ reason: String(error) }, 'sweep flows: failed, trying again');
    } finally {
      this.#sweeping = false;
    }
  }
}
