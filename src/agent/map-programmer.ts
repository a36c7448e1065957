import { Updater as PlanWriter } from '../datapath/apply.js';
import type { MapStore } from '../datapath/store.js';
import type { ClusterRanges, DesiredService } from '../model/desired.js';
import { type NodeRanges, type Plan, Planner, type PlanProblem } from '../plan/index.js';
import type { NodeAddress } from './addresses.js';
import type { Delta, Programmer } from './updater.js';

export interface MapProgrammerOptions {
  store: MapStore;
  /** --cluster-cidr. */
  clusterCIDRs: readonly string[];
  /** What could not be planned; each is told once. */
  onProblem: (problem: PlanProblem) => void;
  /** Room appeared for services that were left out. */
  onRoom: () => void;
  /** A grace period, or a removal behind it, failed. */
  onFailure: (error: unknown) => void;
}

/** Planner and plan writer together; begins anew, from what the maps hold, with every `restore`. */
export class MapProgrammer implements Programmer<DesiredService> {
  readonly #o: MapProgrammerOptions;
  #planner: Planner;
  #writer: PlanWriter;
  #watched: PlanWriter | undefined;

  constructor(options: MapProgrammerOptions) {
    this.#o = options;
    this.#planner = new Planner({ sizes: options.store.sizes });
    this.#writer = new PlanWriter(options.store, this.#planner);
  }

  async restore(): Promise<void> {
    // A removal that still waits for its grace period must not hit what the new planner gives out.
    await this.#writer.idle().catch(() => {});
    const { store } = this.#o;
    // Programs may still hold what a failed write made unreachable: the new planner calls it free.
    await store.grace();
    this.#planner = new Planner({ sizes: store.sizes });
    this.#planner.restore(store.dump());
    this.#writer = new PlanWriter(store, this.#planner);
  }

  apply(delta: Delta<DesiredService>): Promise<number> {
    const ranges = delta.clusterRanges && this.#ranges(delta.clusterRanges);
    return this.#write(this.#planner.apply(delta, ranges));
  }

  reconcile(services: DesiredService[], ranges: ClusterRanges): Promise<number> {
    return this.#write(this.#planner.reconcile(services, this.#ranges(ranges)));
  }

  setNodeAddresses(addresses: NodeAddress[]): Promise<number> {
    return this.#write(this.#planner.setNodeAddresses(addresses));
  }

  /** Resolves when nothing waits for a grace period. */
  async idle(): Promise<void> {
    await this.#writer.idle().catch(() => {});
  }

  #ranges(ranges: ClusterRanges): NodeRanges {
    return { cluster: this.#o.clusterCIDRs, ...ranges };
  }

  async #write(plan: Plan): Promise<number> {
    for (const problem of plan.problems) this.#o.onProblem(problem);
    const before = this.#writer.stats.ops;
    this.#writer.apply(plan);
    this.#watchGrace();
    return this.#writer.stats.ops - before;
  }

  /** The grace period goes on behind the write; one watcher at a time hears how it ended. */
  #watchGrace(): void {
    const writer = this.#writer;
    if (this.#watched === writer) return;
    this.#watched = writer;
    writer.idle().then(
      (room) => {
        this.#watched = undefined;
        if (room) this.#o.onRoom();
      },
      (error: unknown) => {
        this.#watched = undefined;
        if (writer === this.#writer) this.#o.onFailure(error);
      },
    );
  }
}
