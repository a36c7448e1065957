import type { LbSrcRangeKey } from '../abi/generated.js';
import { isUnparsable, parseAddress } from '../model/addresses.js';
import type { DesiredDelta, DesiredService } from '../model/desired.js';
import type { NodeAddress } from './addressBook.js';
import { commitDraft, drainReleased, removeBackend, removeRangeSet, removeService } from './commit.js';
import { DoesNotFit, type Draft, draftService } from './draft.js';
import { type NodeRanges, RANGE_SET_CLUSTER, RANGE_SET_SERVICE } from './nodeRanges.js';
import { frontendKeyText, type PlanProblem, rangeKeyText } from './ops.js';
import { type Plan, PlanBuilder } from './plan.js';
import { renderFrontendKey, renderRanges } from './render.js';
import { type MapDump, restoreState, type Strays } from './restore.js';
import { type PlanSizes, PlanState, SIZE_FLAGS } from './state.js';

/** Services left out are tried again this many at a time, so that an event's cost stays bounded. */
const RETRIES_PER_PLAN = 16;

/**
 * Owns every id and every slot, knows what the maps hold, and turns changes of the desired state into
 * plans. Plans are to be applied in the order they were made, each given to `settle` once its grace
 * period is over. Pure: it never looks at a map.
 */
export class Planner {
  readonly #state: PlanState;
  /** Left out for want of room: name -> what it should be. */
  readonly #leftOut = new Map<string, { desired: DesiredService; problem: PlanProblem }>();
  /** Frontend key -> services that want it while another one has it. */
  readonly #waiting = new Map<string, Set<string>>();
  readonly #incomplete = new Map<string, DesiredService>();
  readonly #nodeRanges = new Map<string, LbSrcRangeKey>();
  #strays: Strays | undefined;
  #roomAppeared = false;

  constructor(options: { sizes: PlanSizes }) {
    this.#state = new PlanState(options.sizes);
  }

  /**
   * Learns ids from the maps, before the first plan. Nothing that was found is removed before
   * `reconcile`; entries that lead nowhere are remembered for it.
   */
  restore(dump: MapDump): void {
    this.#strays = restoreState(this.#state, dump, (key) => this.#nodeRanges.set(rangeKeyText(key), key));
  }

  /** Services that were changed or removed. */
  apply(delta: Pick<DesiredDelta, 'upserts' | 'removals'>, ranges?: NodeRanges): Plan {
    const plan = new PlanBuilder();
    if (ranges) this.#setRanges(ranges, plan);
    return this.#plan(delta.upserts, delta.removals, plan);
  }

  /** The whole desired state, once every source has told all it has: what is not in it is removed. */
  reconcile(all: readonly DesiredService[], ranges?: NodeRanges): Plan {
    const wanted = new Set(all.map((s) => s.id));
    const known = [...this.#state.services.keys(), ...this.#leftOut.keys()];
    const plan = new PlanBuilder();
    if (this.#strays) this.#removeStrays(this.#strays, plan);
    this.#strays = undefined;
    this.#state.addresses.touchAll();
    if (ranges) this.#setRanges(ranges, plan);
    return this.#plan(
      all,
      known.filter((name) => !wanted.has(name)),
      plan,
    );
  }

  /** This node's addresses, whole. */
  setNodeAddresses(addresses: readonly NodeAddress[]): Plan {
    const plan = new PlanBuilder();
    const usable: NodeAddress[] = [];
    for (const address of addresses) {
      const parsed = parseAddress(address.ip);
      if (!isUnparsable(parsed) && parsed.text === address.ip) usable.push(address);
      else {
        const message = `add node address '${address.ip}': not a canonical address (EINVAL). Report this as a bug.`;
        plan.problems.push({ code: 'EINVAL', message });
      }
    }
    const room = this.#state.sizes.lb_addresses;
    for (const ip of this.#state.addresses.setNode(usable, room)) {
      const message = `add node address ${ip}: table lb_addresses is full, ${room} entries (E2BIG). Raise ${SIZE_FLAGS.lb_addresses} and restart the agent.`;
      plan.problems.push({ code: 'E2BIG', map: 'lb_addresses', message });
    }
    return this.#plan([], [], plan);
  }

  /** Ranges alone. */
  setNodeRanges(ranges: NodeRanges): Plan {
    const plan = new PlanBuilder();
    this.#setRanges(ranges, plan);
    return this.#plan([], [], plan);
  }

  #setRanges(ranges: NodeRanges, plan: PlanBuilder): void {
    this.#setForeign(ranges.foreign ?? [], plan);
    const wanted = new Map<string, LbSrcRangeKey>();
    for (const key of [
      ...renderRanges(RANGE_SET_CLUSTER, ranges.cluster),
      ...renderRanges(RANGE_SET_SERVICE, ranges.service),
    ]) {
      wanted.set(rangeKeyText(key), key);
    }
    for (const [text, key] of wanted) {
      if (this.#nodeRanges.has(text)) continue;
      if (this.#state.rangeCount >= this.#state.sizes.lb_src_ranges) {
        const message = `add node range ${key.addr}: table lb_src_ranges is full (E2BIG). Raise ${SIZE_FLAGS.lb_src_ranges} and restart the agent.`;
        plan.problems.push({ code: 'E2BIG', map: 'lb_src_ranges', message });
        continue;
      }
      plan.ranges.push({ kind: 'put', map: 'lb_src_ranges', key, value: 1, replaces: false });
      this.#nodeRanges.set(text, key);
      this.#state.rangeCount++;
    }
    for (const [text, key] of this.#nodeRanges) {
      if (wanted.has(text)) continue;
      plan.addressesAfter.push({ kind: 'delete', map: 'lb_src_ranges', key });
      this.#nodeRanges.delete(text);
      this.#state.rangeCount--;
    }
  }

  #setForeign(ips: readonly string[], plan: PlanBuilder): void {
    const room = this.#state.sizes.lb_addresses;
    for (const ip of this.#state.addresses.setForeign(ips, room)) {
      const message = `leave ${ip} to another proxy: table lb_addresses is full, ${room} entries (E2BIG). Raise ${SIZE_FLAGS.lb_addresses} and restart the agent.`;
      plan.problems.push({ code: 'E2BIG', map: 'lb_addresses', message });
    }
  }

  /**
   * The plan was applied, its grace period has passed and its `after` is done: what it freed may be
   * used again. @returns true when services were left out that may fit now: apply an empty delta.
   */
  settle(plan: Plan): boolean {
    const { frees } = plan;
    for (const id of frees.services) this.#state.serviceIds.giveBack(id);
    for (const id of frees.backends) this.#state.backendIds.giveBack(id);
    for (const id of frees.localities) this.#state.localities.ids.giveBack(id);
    for (const id of frees.rangeSets) this.#state.rangeSetIds.giveBack(id);
    for (const run of frees.runs) this.#state.runs.giveBack(run);
    this.#state.rangeCount -= frees.rangeEntries;
    if (plan.isEmpty) return false;
    this.#roomAppeared = true;
    return this.#leftOut.size > 0;
  }

  /** Services that are not as desired, with the reason. */
  get leftOut(): PlanProblem[] {
    return [...this.#leftOut.values()].map((entry) => entry.problem);
  }

  /** Id of a service (DesiredService.id), for counters and the CLI. */
  serviceId(name: string): number | undefined {
    return this.#state.services.get(name)?.id;
  }

  get usage(): Record<keyof PlanSizes, number> {
    const s = this.#state;
    return {
      services: s.serviceIds.used,
      lb_backends: s.backendIds.used,
      lb_slots: s.runs.used,
      lb_frontends: s.frontendCount,
      lb_addresses: s.addresses.size,
      lb_src_ranges: s.rangeCount,
      meta_localities: s.localities.ids.used,
    };
  }

  #plan(upserts: readonly DesiredService[], removals: readonly string[], plan: PlanBuilder): Plan {
    const batch = new Batch(upserts, removals);
    for (const name of removals) this.#remove(name, plan);
    for (const desired of upserts) this.#upsert(desired, batch, plan);
    this.#retry(batch, plan);
    // A key that was given up goes to a service that waited for it; that may give up keys in turn.
    let gone = drainWaiting(this.#state.released.keys(), this.#waiting);
    while (gone.length > 0) {
      for (const name of gone) {
        const desired = this.#incomplete.get(name);
        if (desired) this.#upsert(desired, batch, plan);
      }
      gone = drainWaiting(this.#state.released.keys(), this.#waiting);
    }
    drainReleased(this.#state, plan);
    this.#state.addresses.drain(plan.addressesBefore, plan.addressesAfter);
    return plan.build();
  }

  #upsert(desired: DesiredService, batch: Batch, plan: PlanBuilder, isRetry = false): void {
    this.#incomplete.delete(desired.id);
    try {
      const draft = draftService(this.#state, desired, (keyText, d) => this.#claim(keyText, d, batch));
      commitDraft(this.#state, draft, plan);
      plan.problems.push(...draft.problems);
      this.#leftOut.delete(desired.id);
    } catch (error) {
      if (!(error instanceof DoesNotFit)) throw error;
      if (!isRetry) plan.problems.push(error.problem);
      this.#leftOut.delete(desired.id);
      // At the end of the line: the others get their turn first.
      if (error.mayFitLater) this.#leftOut.set(desired.id, { desired, problem: error.problem });
    }
  }

  #remove(name: string, plan: PlanBuilder): void {
    this.#leftOut.delete(name);
    this.#incomplete.delete(name);
    const service = this.#state.services.get(name);
    if (service) removeService(this.#state, service, plan);
  }

  #retry(batch: Batch, plan: PlanBuilder): void {
    if (!this.#roomAppeared || this.#leftOut.size === 0) return;
    this.#roomAppeared = false;
    for (const [name, { desired }] of [...this.#leftOut].slice(0, RETRIES_PER_PLAN)) {
      if (!batch.upserts.has(name)) this.#upsert(desired, batch, plan, true);
    }
  }

  /** A key belongs to one service; the model settles conflicts, this only keeps the maps sane. */
  #claim(keyText: string, draft: Draft, batch: Batch): PlanProblem | undefined {
    const owner = this.#state.owners.get(keyText);
    if (!owner || owner === draft.known || batch.givesUp(owner.name, keyText)) return undefined;
    const waiting = this.#waiting.get(keyText) ?? new Set();
    this.#waiting.set(keyText, waiting.add(draft.desired.id));
    this.#incomplete.set(draft.desired.id, draft.desired);
    const [, addr, port] = keyText.split('|');
    return {
      service: draft.desired.id,
      code: 'EEXIST',
      message: `add frontend ${addr}:${port} of ${draft.desired.id}: it belongs to ${owner.name} (EEXIST). Remove it from one of the two Services.`,
    };
  }

  #removeStrays(strays: Strays, plan: PlanBuilder): void {
    for (const [keyText, key] of this.#state.strayFrontends) {
      // A service of this very plan may take it over, like any key that was given up.
      this.#state.released.set(keyText, key);
    }
    this.#state.strayFrontends.clear();
    for (const entry of strays.backends) removeBackend(this.#state, entry, plan);
    for (const set of strays.ranges) removeRangeSet(set, plan);
    for (const id of strays.services) {
      plan.nameDeletes.push({ kind: 'delete', map: 'meta_services', key: id });
      plan.frees.services.push(id);
    }
    for (const id of strays.localities) {
      plan.afterGrace.push({ kind: 'delete', map: 'meta_localities', key: id });
      plan.frees.localities.push(id);
    }
    this.#state.localities.releaseUnused(plan.afterGrace, plan.frees.localities);
    for (const run of strays.runs) plan.frees.runs.push(run);
  }
}

/** The services of one plan: decides whether an owner is about to give up a key. */
class Batch {
  readonly upserts: ReadonlyMap<string, DesiredService>;
  readonly #removals: ReadonlySet<string>;
  readonly #keys = new Map<string, Set<string>>();

  constructor(upserts: readonly DesiredService[], removals: readonly string[]) {
    this.upserts = new Map(upserts.map((s) => [s.id, s]));
    this.#removals = new Set(removals);
  }

  givesUp(name: string, keyText: string): boolean {
    if (this.#removals.has(name)) return true;
    const desired = this.upserts.get(name);
    if (!desired) return false;
    let keys = this.#keys.get(name);
    if (!keys) {
      keys = new Set(desired.frontends.map((f) => frontendKeyText(renderFrontendKey(desired, f))));
      this.#keys.set(name, keys);
    }
    return !keys.has(keyText);
  }
}

function drainWaiting(released: Iterable<string>, waiting: Map<string, Set<string>>): string[] {
  if (waiting.size === 0) return [];
  const names: string[] = [];
  for (const keyText of released) {
    const set = waiting.get(keyText);
    if (!set) continue;
    waiting.delete(keyText);
    names.push(...set);
  }
  return names;
}
