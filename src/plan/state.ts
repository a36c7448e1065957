/** What the planner knows to be in the maps (or on its way into them). */
import type { LbBackend, LbFrontend, LbFrontendKey, LbSrcRangeKey, MetaService } from '../abi/generated.js';
import { AddressBook } from './addressBook.js';
import { IdPool } from './ids.js';
import { Localities } from './localities.js';
import { type Extent, RunAllocator } from './runs.js';

/** max_entries of the maps that plans fill. `stats_services` divided by its shards also bounds services. */
export interface PlanSizes {
  /** Service ids are 1..services-1. */
  services: number;
  lb_backends: number;
  lb_slots: number;
  lb_frontends: number;
  lb_addresses: number;
  lb_src_ranges: number;
  meta_localities: number;
}

/** The agent's flag that raises a table. */
export const SIZE_FLAGS: Record<keyof PlanSizes, string> = {
  services: '--max-services',
  lb_backends: '--max-backends',
  lb_slots: '--max-slots',
  lb_frontends: '--max-frontends',
  lb_addresses: '--max-addresses',
  lb_src_ranges: '--max-source-ranges',
  meta_localities: '--max-localities',
};

export interface BackendEntry {
  id: number;
  value: LbBackend;
}

export interface Run extends Extent {
  /** Algorithm and ids that it holds; undefined: a Maglev table found after a restart, see `slots`. */
  key: string | undefined;
  slots?: ArrayLike<number>;
}

export interface RangeSet {
  id: number;
  /** Prefixes, sorted. */
  text: string;
  keys: LbSrcRangeKey[];
}

export interface FrontendEntry {
  key: LbFrontendKey;
  value: LbFrontend;
}

export interface ServiceState {
  id: number;
  /** DesiredService.id */
  name: string;
  meta: MetaService;
  /** By `ip:port`. */
  backends: Map<string, BackendEntry>;
  /** Second entries of one ip:port, left by a crash: dead after the next flip. */
  extra: BackendEntry[];
  runs: Run[];
  ranges: RangeSet[];
  /** By key text. */
  frontends: Map<string, FrontendEntry>;
}

/** Range sets from here on belong to the node: RANGE_SET_* of bpf/abi/settings.h. */
export const FIRST_NODE_RANGE_SET = 0xffff_ff00;

/** Ids of range sets: counted up, since a 32-bit space is never used up in a node's life. */
export class RangeSetIds {
  readonly #used = new Set<number>();
  #next = 1;

  take(): number {
    while (this.#used.has(this.#next)) this.#step();
    const id = this.#next;
    this.#used.add(id);
    this.#step();
    return id;
  }

  mark(id: number): void {
    this.#used.add(id);
    if (id >= this.#next) {
      this.#next = id;
      this.#step();
    }
  }

  giveBack(id: number): void {
    this.#used.delete(id);
  }

  #step(): void {
    this.#next = this.#next + 1 >= FIRST_NODE_RANGE_SET ? 1 : this.#next + 1;
  }
}

export class PlanState {
  readonly services = new Map<string, ServiceState>();
  /** Frontend key text -> its service. */
  readonly owners = new Map<string, ServiceState>();
  readonly serviceIds: IdPool;
  readonly backendIds: IdPool;
  readonly rangeSetIds = new RangeSetIds();
  runs: RunAllocator;
  readonly addresses = new AddressBook();
  readonly localities: Localities;
  /** Entries that a restart found and whose service nobody knows: removed when all is heard. */
  readonly strayFrontends = new Map<string, LbFrontendKey>();
  /** Keys given up in the plan being made, still in the map until its frontends have flipped. */
  readonly released = new Map<string, LbFrontendKey>();
  /** Entries of lb_src_ranges, those waiting for their grace period included. */
  rangeCount = 0;
  /** The last generation given to a backend. */
  generation = 0;

  constructor(readonly sizes: PlanSizes) {
    this.serviceIds = new IdPool(sizes.services - 1);
    this.backendIds = new IdPool(sizes.lb_backends - 1);
    this.localities = new Localities(sizes.meta_localities - 1);
    this.runs = new RunAllocator(sizes.lb_slots);
  }

  /** Is the key in the map now, or put there by the plan being made? */
  hasFrontend(keyText: string): boolean {
    return this.owners.has(keyText) || this.strayFrontends.has(keyText) || this.released.has(keyText);
  }

  /** Entries of lb_frontends at the busiest moment of the plan being made. */
  get frontendCount(): number {
    return this.owners.size + this.strayFrontends.size + this.released.size;
  }

  /** Differs from every generation given out before; 0 stays "none". */
  nextGeneration(): number {
    this.generation = this.generation >= 0xffff_ffff ? 1 : this.generation + 1;
    return this.generation;
  }
}
