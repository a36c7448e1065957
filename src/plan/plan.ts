import type { Frees, Op, PlanProblem } from './ops.js';
import { plansText } from './text.js';

/** Ordered steps from what the maps hold to what they should hold. */
export class Plan {
  constructor(
    /** Every prefix leaves the data path consistent: each frontend has its old list or its new one. */
    readonly ops: readonly Op[],
    /** Only after a grace period that began when `ops` were done. */
    readonly after: readonly Op[],
    /** What becomes free then; for Planner.settle. */
    readonly frees: Frees,
    /** What was left out, and why; each is told once. */
    readonly problems: readonly PlanProblem[],
  ) {}

  get isEmpty(): boolean {
    return this.ops.length === 0 && this.after.length === 0 && !this.needsGrace;
  }

  /** Something waits for a grace period. */
  get needsGrace(): boolean {
    const f = this.frees;
    const ids = f.services.length + f.backends.length + f.localities.length + f.rangeSets.length;
    return this.after.length + ids + f.runs.length > 0;
  }

  /** Stable sorted lines, one per step. */
  toText(): string {
    return plansText(this.ops, this.after);
  }
}

/** Collects ops by phase; `build` strings the phases together in the one safe order. */
export class PlanBuilder {
  readonly counters: Op[] = [];
  readonly names: Op[] = [];
  readonly backends: Op[] = [];
  readonly slots: Op[] = [];
  readonly ranges: Op[] = [];
  readonly addressesBefore: Op[] = [];
  readonly statesBefore: Op[] = [];
  readonly frontendPuts: Op[] = [];
  readonly frontendDeletes: Op[] = [];
  readonly addressesAfter: Op[] = [];
  readonly statesAfter: Op[] = [];
  readonly nameDeletes: Op[] = [];
  readonly afterGrace: Op[] = [];
  readonly problems: PlanProblem[] = [];
  readonly frees: Frees = {
    services: [],
    backends: [],
    localities: [],
    rangeSets: [],
    rangeEntries: 0,
    runs: [],
  };

  build(): Plan {
    const ops = [
      this.counters,
      this.names,
      this.backends,
      this.slots,
      this.ranges,
      this.addressesBefore,
      this.statesBefore,
      // From here on the new lists are visible.
      this.frontendPuts,
      this.frontendDeletes,
      this.addressesAfter,
      this.statesAfter,
      this.nameDeletes,
    ].flat();
    return new Plan(ops, this.afterGrace, this.frees, this.problems);
  }
}
