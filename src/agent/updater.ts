import type { ClusterRanges } from '../model/desired.js';
import type { Change, Warning } from '../model/objects.js';
import type { NodeAddress } from './addresses.js';
import { type Counters, Samples } from './counters.js';
import {
  type Arrival,
  arrivalOf,
  type Delta,
  emptyDelta,
  familiesOf,
  type Identified,
  mergeDelta,
  type Written,
} from './delta.js';
import type { Logger } from './log.js';

export type { Delta } from './delta.js';

/** The pure model: changes in, what becomes different out. */
export interface ModelPort<Service extends Identified> {
  apply(changes: readonly Change[]): Delta<Service>;
  /** Addresses of this node as its devices have them; source ranges may contain one. */
  setNodeAddresses(addresses: readonly string[]): Delta<Service>;
  /** All that the deltas so far add up to. */
  desired(): Service[];
  /** What the deltas so far said of ranges. */
  readonly clusterRanges: ClusterRanges;
  readonly stats: { servicesRecomputed: number };
}

/** Plan and data path behind one face. Every call resolves to the number of operations written. */
export interface Programmer<Service extends Identified> {
  /** Forgets what it believes and reads the maps; ids found there are kept. */
  restore(): Promise<void>;
  /** Writes a difference. */
  apply(delta: Delta<Service>): Promise<number>;
  /** Makes the maps equal to these services and ranges and no others. */
  reconcile(services: Service[], ranges: ClusterRanges): Promise<number>;
  setNodeAddresses(addresses: NodeAddress[]): Promise<number>;
}

export interface UpdaterOptions<Service extends Identified> {
  model: ModelPort<Service>;
  programmer: Programmer<Service>;
  counters: Counters;
  log: Logger;
  onWarning: (warning: Warning) => void;
  /** The maps hold all that the source has listed; called once. */
  onServing: () => void;
  /** What the model made of changes, before it is written. */
  onDelta?: (delta: Delta<Service>) => void;
  /** After every write that succeeded; what health checks tell others must not be ahead of the maps. */
  onWritten?: (written: Written) => void;
  /** How long a burst may gather, from its first change on. */
  mergeMs?: number;
  retryMs?: { first: number; most: number };
  nowMs?: () => number;
}

/**
 * The only writer of the maps: gathers changes for a few milliseconds, runs them through the model and
 * writes the difference, one plan after the other. Nothing is written before `markSynced()`: half of the
 * objects would look like services without endpoints, or like services that are gone. The first write, and
 * the first after an error, compares everything.
 */
export class Updater<Service extends Identified> {
  readonly latencyMs = new Samples();
  readonly #o: UpdaterOptions<Service>;
  readonly #nowMs: () => number;
  readonly #ids = new Set<string>();
  #changes: Change[] = [];
  #arrivals: Arrival[] = [];
  /** Taken out of `arrivals` by the write that is going on. */
  #inFlight: readonly Arrival[] = [];
  #lastQueuedMs: number | undefined;
  #lastWrittenMs: number | undefined;
  #failedSinceMs: number | undefined;
  #addresses: NodeAddress[] | undefined;
  #addressesDirty = false;
  #modelAddressesDirty = false;
  #again = false;
  #synced = false;
  #serving = false;
  #compareAll = true;
  #failures = 0;
  #retryAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: UpdaterOptions<Service>) {
    this.#o = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** Service ports wanted at present. */
  get services(): number {
    return this.#ids.size;
  }

  /** Oldest change that has not reached the maps, or since when they could not be written. */
  get pendingSinceMs(): number | undefined {
    const oldest = (this.#inFlight[0] ?? this.#arrivals[0])?.atMs;
    if (oldest === undefined || this.#failedSinceMs === undefined) return oldest ?? this.#failedSinceMs;
    return Math.min(oldest, this.#failedSinceMs);
  }

  get lastQueuedMs(): number | undefined {
    return this.#lastQueuedMs;
  }

  get lastWrittenMs(): number | undefined {
    return this.#lastWrittenMs;
  }

  /** Changes of one kind that have not reached the maps. */
  pending(kind: Change['kind']): number {
    return [...this.#inFlight, ...this.#arrivals].filter((arrival) => arrival.kind === kind).length;
  }

  enqueue(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    const now = this.#nowMs();
    for (const change of changes) {
      this.#changes.push(change);
      this.#arrivals.push(arrivalOf(change, now));
    }
    this.#lastQueuedMs = now;
    this.#o.counters.events += changes.length;
    this.#schedule();
  }

  /** Every watch has listed once. */
  markSynced(): void {
    this.#synced = true;
    this.#schedule();
  }

  setNodeAddresses(addresses: NodeAddress[]): void {
    if (this.#addresses && JSON.stringify(addresses) === JSON.stringify(this.#addresses)) return;
    this.#addresses = addresses;
    this.#addressesDirty = true;
    this.#modelAddressesDirty = true;
    this.#schedule();
  }

  /** Makes a plan although nothing changed: something that did not fit may fit now. */
  writeAgain(): void {
    this.#again = true;
    this.#schedule();
  }

  /** Something behind an earlier write failed: compare everything. */
  fail(error: unknown): void {
    this.#failed(error);
    this.#schedule();
  }

  /** Ends after the plan that is being written, if any; nothing is undone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }

  #hasWork(): boolean {
    if (this.#changes.length > 0) return true;
    if (!this.#synced || this.#addresses === undefined) return false;
    return this.#compareAll || this.#addressesDirty || this.#again;
  }

  #schedule(): void {
    if (this.#stopped || this.#timer || this.#running || !this.#hasWork()) return;
    const backOff = Math.max(0, this.#retryAtMs - this.#nowMs());
    this.#timer = setTimeout(() => this.#start(), Math.max(this.#o.mergeMs ?? 3, backOff));
  }

  #start(): void {
    this.#timer = undefined;
    this.#running = this.#round()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#running = undefined;
        this.#schedule();
      });
  }

  async #round(): Promise<void> {
    const changes = this.#changes;
    this.#changes = [];
    const delta = emptyDelta<Service>();
    if (this.#modelAddressesDirty && this.#addresses) {
      const ips = this.#addresses.map((address) => address.ip);
      mergeDelta(
        delta,
        this.#runModel(() => this.#o.model.setNodeAddresses(ips)),
      );
      this.#modelAddressesDirty = false;
    }
    if (changes.length > 0)
      mergeDelta(
        delta,
        this.#runModel(() => this.#applyChanges(changes)),
      );
    // Addresses come first: without them a NodePort would be looked up for nobody.
    if (!this.#synced || !this.#addresses) {
      if (!this.#synced) this.#arrivals = [];
      return;
    }
    const arrivals = this.#arrivals;
    this.#arrivals = [];
    this.#inFlight = arrivals;
    const full = this.#compareAll;
    const startedMs = this.#nowMs();
    try {
      await this.#write(delta, this.#addresses);
    } catch (error) {
      this.#arrivals = arrivals.concat(this.#arrivals);
      this.#failed(error);
      return;
    } finally {
      this.#inFlight = [];
    }
    this.#failures = 0;
    this.#retryAtMs = 0;
    // A failure behind the write, of a grace period, may have come in between.
    if (!this.#compareAll) this.#failedSinceMs = undefined;
    const endedMs = this.#nowMs();
    this.#lastWrittenMs = endedMs;
    this.#o.onWritten?.({ arrivals, startedMs, endedMs, full, families: familiesOf(delta) });
    if (!this.#serving) {
      this.#serving = true;
      this.#o.onServing();
      return;
    }
    for (const { atMs } of arrivals) this.latencyMs.add(endedMs - atMs);
  }

  async #write(delta: Delta<Service>, addresses: NodeAddress[]): Promise<void> {
    const { counters, programmer } = this.#o;
    if (this.#compareAll) {
      counters.fullResyncs++;
      await programmer.restore();
      this.#addressesDirty = false;
      counters.opsApplied += await programmer.setNodeAddresses(addresses);
      counters.opsApplied += await programmer.reconcile(this.#o.model.desired(), this.#o.model.clusterRanges);
      counters.applies++;
      this.#compareAll = false;
      return;
    }
    if (this.#addressesDirty) {
      this.#addressesDirty = false;
      counters.opsApplied += await programmer.setNodeAddresses(addresses);
    }
    if (delta.upserts.length > 0 || delta.removals.length > 0 || delta.clusterRanges || this.#again) {
      this.#again = false;
      counters.opsApplied += await programmer.apply(delta);
      counters.applies++;
    }
  }

  #failed(error: unknown): void {
    this.#o.counters.applyErrors++;
    this.#compareAll = true;
    this.#failedSinceMs ??= this.#nowMs();
    const { first, most } = this.#o.retryMs ?? { first: 100, most: 30_000 };
    const waitMs = Math.min(most, first * 2 ** Math.min(this.#failures, 20));
    this.#failures++;
    this.#retryAtMs = this.#nowMs() + waitMs;
    this.#o.log.error(
      { err: error, retryInMs: waitMs },
      'write maps: failed. what is in them stays in use; everything is compared and written again',
    );
  }

  #runModel(action: () => Delta<Service>): Delta<Service> {
    const { counters, model, onWarning } = this.#o;
    const before = model.stats.servicesRecomputed;
    const delta = action();
    counters.batches++;
    counters.servicesRecomputed += model.stats.servicesRecomputed - before;
    for (const warning of delta.warnings) onWarning(warning);
    for (const id of delta.removals) this.#ids.delete(id);
    for (const service of delta.upserts) this.#ids.add(service.id);
    this.#o.onDelta?.(delta);
    return delta;
  }

  #applyChanges(changes: Change[]): Delta<Service> {
    try {
      return this.#o.model.apply(changes);
    } catch (error) {
      this.#o.log.error(
        { err: error, changes: changes.length },
        'compute services: failed. trying objects one by one',
      );
      return this.#oneByOne(changes);
    }
  }

  /** One object that the model cannot digest must not take the others with it. */
  #oneByOne(changes: Change[]): Delta<Service> {
    const sum = emptyDelta<Service>();
    for (const change of changes) {
      try {
        mergeDelta(sum, this.#o.model.apply([change]));
      } catch (error) {
        const object = `${change.kind} ${change.key}`;
        this.#o.log.error({ err: error, object }, 'compute services: object left out');
      }
    }
    return sum;
  }
}
