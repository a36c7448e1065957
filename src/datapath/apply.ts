import type { MapKey, MapValue } from '../abi/generated.js';
import { type Op, opText, type Plan, type PlanMap } from '../plan/index.js';
import type { MapEntry, MapStore } from './store.js';

/** A step failed; it and the steps behind it wait for the next attempt. */
export class ApplyError extends Error {
  override readonly name = 'ApplyError';
  readonly code: string;
  constructor(
    /** First op of the failed step. */
    readonly op: Op,
    override readonly cause: unknown,
    /** Ops that were not carried out. */
    readonly pending: number,
  ) {
    const code = codeOf(cause);
    const text = cause instanceof Error ? cause.message : String(cause);
    super(
      `apply '${opText(op)}': ${text} (${code}). ${pending} steps wait; they are tried again with the next change.`,
    );
    this.code = code;
  }
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'EIO';
}

/** Longest run of equal steps handed to the store at once. */
const BATCH = 1024;

/**
 * Carries out ops in order. Neighbouring puts or deletes of one map go to the store together.
 * Every op may be repeated: after an error the remainder is simply applied again.
 * @throws ApplyError; `done` of the ops are certain, those of the failed step may be half done.
 */
export function applyOps(
  store: MapStore,
  ops: readonly Op[],
  onDone: (count: number) => void = () => {},
): void {
  let at = 0;
  while (at < ops.length) {
    const op = ops[at] as Op;
    let end = at + 1;
    try {
      if (op.kind === 'put' || op.kind === 'delete') {
        while (end < ops.length && end - at < BATCH && isAlike(op, ops[end] as Op)) end++;
        applyAlike(store, op.kind, op.map, ops.slice(at, end));
      } else applyOne(store, op);
    } catch (error) {
      throw new ApplyError(op, error, ops.length - at);
    }
    onDone(end - at);
    at = end;
  }
}

function isAlike(a: Op, b: Op): boolean {
  return a.kind === b.kind && 'map' in a && 'map' in b && a.map === b.map;
}

function applyAlike<M extends PlanMap>(
  store: MapStore,
  kind: 'put' | 'delete',
  map: M,
  ops: readonly Op[],
): void {
  if (kind === 'put') {
    const entries: MapEntry<M>[] = [];
    for (const op of ops) {
      if (op.kind === 'put') entries.push({ key: op.key as MapKey<M>, value: op.value as MapValue<M> });
    }
    store.put(map, entries);
  } else {
    const keys: MapKey<M>[] = [];
    for (const op of ops) if (op.kind === 'delete') keys.push(op.key as MapKey<M>);
    store.delete(map, keys);
  }
}

function applyOne(store: MapStore, op: Exclude<Op, { kind: 'put' | 'delete' }>): void {
  switch (op.kind) {
    case 'zero':
      store.zeroStats(op.map, op.id);
      break;
    case 'backend':
      store.writeBackend(op.id, op.value);
      break;
    case 'backend-state':
      store.setBackendState(op.id, op.state);
      break;
    case 'backend-locality':
      store.setBackendLocality(op.id, op.localityId);
      break;
    case 'slots':
      store.writeSlots(op.base, op.ids);
      break;
  }
}

/** What an updater needs of a planner. */
export interface Settles {
  settle(plan: Plan): boolean;
}

/**
 * The one writer. Ops are carried out at once, in the order of the calls; plans whose ops are done
 * share the next grace period, off the event loop, before their `after` runs and their ids are free.
 */
export class Updater {
  readonly #store: MapStore;
  readonly #planner: Settles;
  /** Ops left over from a failed call, ahead of everything new. */
  #pending: Op[] = [];
  /** Plans whose ops are all done, waiting for a grace period. */
  #waiting: Plan[] = [];
  /** Plans whose ops are partly in #pending. */
  #unfinished: Plan[] = [];
  #graceRunning: Promise<void> | undefined;
  #retryUseful = false;
  readonly stats = { plans: 0, ops: 0, graces: 0, failures: 0 };

  constructor(store: MapStore, planner: Settles) {
    this.#store = store;
    this.#planner = planner;
  }

  /**
   * Applies the ops of a plan (and what earlier failures left). When this returns, the data path
   * has the new state; the grace period goes on behind it, see `idle`.
   * @throws ApplyError, the remainder being kept: call again (an empty plan will do).
   */
  apply(plan: Plan | undefined): void {
    if (plan) {
      this.stats.plans++;
      this.#unfinished.push(plan);
      // Not by spread: a first plan may have more steps than a call may have arguments.
      this.#pending = this.#pending.length === 0 ? [...plan.ops] : this.#pending.concat(plan.ops);
    }
    const ops = this.#pending;
    let done = 0;
    try {
      applyOps(this.#store, ops, (count) => {
        done += count;
      });
    } catch (error) {
      this.stats.failures++;
      throw error;
    } finally {
      this.stats.ops += done;
      this.#pending = done === ops.length ? [] : ops.slice(done);
    }
    for (const finished of this.#unfinished.splice(0)) {
      if (finished.needsGrace) this.#waiting.push(finished);
      else this.#retryUseful = this.#planner.settle(finished);
    }
    if (this.#waiting.length > 0 && !this.#graceRunning) {
      this.#graceRunning = this.#grace();
      // Whoever awaits idle() hears of a failure; without a listener it must not end the process.
      this.#graceRunning.catch(() => {});
    }
  }

  /** Steps that failed and wait. */
  get pendingOps(): number {
    return this.#pending.length;
  }

  /**
   * Resolves when no grace period is under way: everything that was freed is free.
   * @returns true when services were left out that may fit now (give the planner an empty delta).
   * @throws when the grace period or a removal after it failed; its ids stay reserved until the next one.
   */
  async idle(): Promise<boolean> {
    while (this.#graceRunning !== undefined) await this.#graceRunning;
    const useful = this.#retryUseful;
    this.#retryUseful = false;
    return useful;
  }

  async #grace(): Promise<void> {
    try {
      while (this.#waiting.length > 0) await this.#settleWaiting();
    } finally {
      this.#graceRunning = undefined;
    }
  }

  async #settleWaiting(): Promise<void> {
    const plans = this.#waiting;
    this.#waiting = [];
    let settled = 0;
    try {
      await this.#store.grace();
      this.stats.graces++;
      for (const plan of plans) {
        applyOps(this.#store, plan.after);
        this.#retryUseful = this.#planner.settle(plan);
        settled++;
      }
    } catch (error) {
      // Nothing is freed early: the rest waits for the next grace period, which the next apply begins.
      this.#waiting.unshift(...plans.slice(settled));
      throw error;
    }
  }
}
