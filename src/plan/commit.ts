/** Turns a draft into ops and into what the planner knows. */

import type { LbFrontend, LbFrontendKey } from '../abi/generated.js';
import * as abi from '../abi/generated.js';
import type { DesiredService } from '../model/desired.js';
import type { Draft, DraftBackend, DraftFrontend } from './draft.js';
import { sameFrontend } from './ops.js';
import type { PlanBuilder } from './plan.js';
import {
  IPPROTO,
  renderFrontend,
  renderMeta,
  renderState,
  STATE_KEPT_UNTIL_FLIP,
  sameMeta,
} from './render.js';
import type { BackendEntry, PlanState, RangeSet, ServiceState } from './state.js';

export function commitDraft(state: PlanState, draft: Draft, plan: PlanBuilder): void {
  const service = draft.known ?? createService(state, draft, plan);
  const meta = renderMeta(draft.desired);
  if (!sameMeta(meta, service.meta)) {
    service.meta = meta;
    plan.names.push({ kind: 'put', map: 'meta_services', key: service.id, value: meta, replaces: true });
  }
  commitBackends(state, draft, service, plan);
  commitRuns(draft, service, plan);
  const freshRanges = commitRanges(state, draft, service, plan);
  commitFrontends(state, draft, service, plan);
  service.ranges = freshRanges;
}

function createService(state: PlanState, draft: Draft, plan: PlanBuilder): ServiceState {
  const meta = renderMeta(draft.desired);
  const service: ServiceState = {
    id: draft.id,
    name: draft.desired.id,
    meta,
    backends: new Map(),
    extra: [],
    runs: [],
    ranges: [],
    frontends: new Map(),
  };
  state.services.set(service.name, service);
  plan.counters.push({ kind: 'zero', map: 'stats_services', id: service.id });
  plan.names.push({ kind: 'put', map: 'meta_services', key: service.id, value: meta, replaces: false });
  return service;
}

function commitBackends(state: PlanState, draft: Draft, service: ServiceState, plan: PlanBuilder): void {
  const kept = new Set<string>();
  for (const b of draft.backends) {
    if (b.id === 0) continue;
    kept.add(b.key);
    if (b.isFresh) addBackend(state, draft.desired, service, b, plan);
    else changeBackend(state, service.backends.get(b.key) as BackendEntry, b, plan);
  }
  for (const [key, entry] of service.backends) {
    if (kept.has(key)) continue;
    service.backends.delete(key);
    removeBackend(state, entry, plan);
  }
  for (const entry of service.extra.splice(0)) removeBackend(state, entry, plan);
}

function addBackend(
  state: PlanState,
  desired: DesiredService,
  service: ServiceState,
  b: DraftBackend,
  plan: PlanBuilder,
): void {
  const value = {
    addr: b.desired.ip,
    port: b.desired.port,
    proto: IPPROTO[desired.protocol],
    service_id: service.id,
    generation: state.nextGeneration(),
    state: renderState(b.desired),
    locality_id: state.localities.acquire(b.desired.nodeName, b.desired.zone, plan.names),
  };
  service.backends.set(b.key, { id: b.id, value });
  plan.counters.push({ kind: 'zero', map: 'stats_backends', id: b.id });
  plan.backends.push({ kind: 'backend', id: b.id, value: { ...value } });
}

function changeBackend(state: PlanState, entry: BackendEntry, b: DraftBackend, plan: PlanBuilder): void {
  const { value, id } = entry;
  const { nodeName, zone } = b.desired;
  if (!state.localities.matches(value.locality_id, nodeName, zone)) {
    const localityId = state.localities.acquire(nodeName, zone, plan.names);
    state.localities.release(value.locality_id, plan.afterGrace, plan.frees.localities);
    if (localityId !== value.locality_id) plan.backends.push({ kind: 'backend-locality', id, localityId });
    value.locality_id = localityId;
  }
  const target = renderState(b.desired);
  const bridge = (target | (value.state & STATE_KEPT_UNTIL_FLIP)) >>> 0;
  if (bridge !== value.state) plan.statesBefore.push({ kind: 'backend-state', id, state: bridge });
  if (bridge !== target) plan.statesAfter.push({ kind: 'backend-state', id, state: target });
  value.state = target;
}

/** Dead once no frontend leads to it; its id is free after the grace period. */
export function removeBackend(state: PlanState, entry: BackendEntry, plan: PlanBuilder): void {
  plan.statesAfter.push({ kind: 'backend-state', id: entry.id, state: 0 });
  plan.frees.backends.push(entry.id);
  state.localities.release(entry.value.locality_id, plan.afterGrace, plan.frees.localities);
}

function commitRuns(draft: Draft, service: ServiceState, plan: PlanBuilder): void {
  for (const { run, ids } of draft.freshRuns) plan.slots.push({ kind: 'slots', base: run.base, ids });
  const runs = new Set([...draft.runs.values()].filter((run) => run !== undefined));
  for (const run of service.runs)
    if (!runs.has(run)) plan.frees.runs.push({ base: run.base, count: run.count });
  service.runs = [...runs];
}

function commitRanges(state: PlanState, draft: Draft, service: ServiceState, plan: PlanBuilder): RangeSet[] {
  for (const set of draft.freshRanges) {
    for (const key of set.keys) {
      plan.ranges.push({ kind: 'put', map: 'lb_src_ranges', key, value: 1, replaces: false });
    }
    state.rangeCount += set.keys.length;
  }
  const used = new Set(draft.frontends.map((f) => f.ranges).filter((set) => set !== undefined));
  for (const set of service.ranges) if (!used.has(set)) removeRangeSet(set, plan);
  return [...used];
}

/** A reader may still hold a frontend that names the set, so even its entries wait for the grace period. */
export function removeRangeSet(set: Pick<RangeSet, 'id' | 'keys'>, plan: PlanBuilder): void {
  for (const key of set.keys) plan.afterGrace.push({ kind: 'delete', map: 'lb_src_ranges', key });
  plan.frees.rangeSets.push(set.id);
  plan.frees.rangeEntries += set.keys.length;
}

function commitFrontends(state: PlanState, draft: Draft, service: ServiceState, plan: PlanBuilder): void {
  const wanted = new Set<string>();
  for (const f of draft.frontends) {
    wanted.add(f.keyText);
    putFrontend(state, draft, service, f, plan);
  }
  for (const [keyText, entry] of service.frontends) {
    if (!wanted.has(keyText)) releaseFrontend(state, service, keyText, entry.key);
  }
}

function putFrontend(
  state: PlanState,
  draft: Draft,
  service: ServiceState,
  f: DraftFrontend,
  plan: PlanBuilder,
): void {
  const ids = { serviceId: service.id, rangeSetId: f.ranges?.id ?? 0 };
  const value = renderFrontend(draft.desired, f.desired, ids, (scope) => draft.runs.get(scope));
  const replaces = state.hasFrontend(f.keyText);
  const owner = state.owners.get(f.keyText);
  if (owner && owner !== service) dropFrontend(state, owner, f.keyText);
  state.released.delete(f.keyText);
  state.strayFrontends.delete(f.keyText);
  const old = service.frontends.get(f.keyText);
  if (old) countAddress(state, old.key, old.value, -1);
  countAddress(state, f.key, value, 1);
  state.owners.set(f.keyText, service);
  service.frontends.set(f.keyText, { key: f.key, value });
  if (old && sameFrontend(old.value, value)) return;
  plan.frontendPuts.push({ kind: 'put', map: 'lb_frontends', key: f.key, value, replaces });
}

/** Given up; deleted at the end of the plan unless another service of the same plan takes it over. */
export function releaseFrontend(
  state: PlanState,
  service: ServiceState,
  keyText: string,
  key: LbFrontendKey,
): void {
  dropFrontend(state, service, keyText);
  state.released.set(keyText, key);
}

function dropFrontend(state: PlanState, service: ServiceState, keyText: string): void {
  const entry = service.frontends.get(keyText);
  if (!entry) return;
  countAddress(state, entry.key, entry.value, -1);
  service.frontends.delete(keyText);
  state.owners.delete(keyText);
}

export function countAddress(state: PlanState, key: LbFrontendKey, value: LbFrontend, by: 1 | -1): void {
  if (key.kind !== abi.FRONTEND_KIND_EXACT) return;
  const isUsable = value.internal !== 0n || value.external !== 0n;
  state.addresses.count(key.addr, value.type === abi.FRONTEND_CLUSTER_IP, isUsable, by);
}

export function removeService(state: PlanState, service: ServiceState, plan: PlanBuilder): void {
  for (const [keyText, entry] of service.frontends) releaseFrontend(state, service, keyText, entry.key);
  for (const entry of [...service.backends.values(), ...service.extra]) removeBackend(state, entry, plan);
  for (const run of service.runs) plan.frees.runs.push({ base: run.base, count: run.count });
  for (const set of service.ranges) removeRangeSet(set, plan);
  plan.nameDeletes.push({ kind: 'delete', map: 'meta_services', key: service.id });
  plan.frees.services.push(service.id);
  state.services.delete(service.name);
}

/** The deletes of keys that nobody took over. */
export function drainReleased(state: PlanState, plan: PlanBuilder): string[] {
  const gone: string[] = [];
  for (const [keyText, key] of state.released) {
    plan.frontendDeletes.push({ kind: 'delete', map: 'lb_frontends', key });
    gone.push(keyText);
  }
  state.released.clear();
  return gone;
}
