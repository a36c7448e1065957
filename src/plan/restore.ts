/** Rebuilds the planner's knowledge from the maps after a restart, whatever step a crash interrupted. */

import type {
  LbAddress,
  LbBackend,
  LbFrontend,
  LbFrontendKey,
  LbSrcRangeKey,
  MetaLocality,
  MetaService,
} from '../abi/generated.js';
import * as abi from '../abi/generated.js';
import { serviceId } from '../model/desired.js';
import { countAddress } from './commit.js';
import { backendKey } from './draft.js';
import { frontendKeyText, runOf } from './ops.js';
import { rangeSetText } from './render.js';
import { type Extent, RunAllocator } from './runs.js';
import {
  type BackendEntry,
  FIRST_NODE_RANGE_SET,
  type PlanState,
  type Run,
  type ServiceState,
} from './state.js';
import { protocolName } from './text.js';

/** What the maps hold. */
export interface MapDump {
  frontends: Iterable<[LbFrontendKey, LbFrontend]>;
  addresses: Iterable<[string, LbAddress]>;
  ranges: Iterable<LbSrcRangeKey>;
  services: Iterable<[number, MetaService]>;
  localities: Iterable<[number, MetaLocality]>;
  /** Every entry that was ever written, dead ones included: they carry the last generations. */
  backends: Iterable<[number, LbBackend]>;
  slots(base: number, count: number): ArrayLike<number>;
}

/** Entries that lead nowhere; removed by the first reconcile. */
export interface Strays {
  backends: BackendEntry[];
  services: number[];
  localities: number[];
  ranges: { id: number; keys: LbSrcRangeKey[] }[];
  runs: Extent[];
}

interface Found {
  key: LbFrontendKey;
  value: LbFrontend;
  service: ServiceState | undefined;
}

export function restoreState(
  state: PlanState,
  dump: MapDump,
  nodeRange: (key: LbSrcRangeKey) => void,
): Strays {
  if (state.services.size > 0) throw new Error('restore plan: it has begun already (EBUSY).');
  const strays: Strays = { backends: [], services: [], localities: [], ranges: [], runs: [] };
  for (const [id, value] of dump.localities) {
    if (!state.localities.restore(id, value)) strays.localities.push(id);
  }
  const frontends = [...dump.frontends];
  const services = restoreServices(state, dump, frontends, strays);
  const found: Found[] = frontends.map(([key, value]) => ({
    key,
    value,
    service: services.get(value.service_id),
  }));
  restoreBackends(state, dump, services, found, strays);
  restoreRuns(state, dump, found, strays);
  restoreRanges(state, dump, found, strays, nodeRange);
  for (const { key, value, service } of found) {
    const keyText = frontendKeyText(key);
    if (!service) {
      state.strayFrontends.set(keyText, key);
      continue;
    }
    service.frontends.set(keyText, { key, value });
    state.owners.set(keyText, service);
  }
  for (const [ip, value] of dump.addresses) state.addresses.restore(ip, value);
  for (const { key, value, service } of found) if (service) countAddress(state, key, value, 1);
  return strays;
}

function restoreServices(
  state: PlanState,
  dump: MapDump,
  frontends: readonly [LbFrontendKey, LbFrontend][],
  strays: Strays,
): Map<number, ServiceState> {
  const inUse = new Set(frontends.map(([, value]) => value.service_id));
  const services = new Map<number, ServiceState>();
  let last = 0;
  // Of two ids with one name the one that frontends lead to is the live one.
  const entries = [...dump.services].sort(([a], [b]) => Number(inUse.has(b)) - Number(inUse.has(a)) || a - b);
  for (const [id, meta] of entries) {
    if (!state.serviceIds.mark(id)) continue;
    last = Math.max(last, id);
    const name = nameOf(meta);
    if (state.services.has(name)) {
      strays.services.push(id);
      continue;
    }
    const service: ServiceState = {
      id,
      name,
      meta,
      backends: new Map(),
      extra: [],
      runs: [],
      ranges: [],
      frontends: new Map(),
    };
    services.set(id, service);
    state.services.set(name, service);
  }
  state.serviceIds.continueAfter(last);
  return services;
}

function nameOf(meta: MetaService): string {
  const protocol = protocolName(meta.proto) as 'TCP' | 'UDP' | 'SCTP';
  return serviceId(meta.namespace_, meta.name, meta.port_name, protocol, meta.family === 6 ? 6 : 4);
}

function restoreBackends(
  state: PlanState,
  dump: MapDump,
  services: Map<number, ServiceState>,
  found: readonly Found[],
  strays: Strays,
): void {
  const reachable = new Set<number>();
  for (const { value } of found) {
    for (const word of [value.internal, value.external]) {
      for (const id of idsOf(dump, runOf(word), state.sizes.lb_slots)) reachable.add(id);
    }
  }
  let newest = 0;
  for (const [id, value] of dump.backends) {
    if (value.generation > state.generation) {
      state.generation = value.generation;
      newest = id;
    }
    if ((value.state & abi.BACKEND_F_ALIVE) === 0) {
      // Dead: no list leads to it (states change after the flip), so its id is free.
      continue;
    }
    if (!state.backendIds.mark(id)) continue;
    const entry = { id, value };
    const isLocalityKnown = state.localities.addReference(value.locality_id);
    if (!isLocalityKnown) value.locality_id = 0;
    const service = services.get(value.service_id);
    if (!service || service.meta.proto !== value.proto) {
      strays.backends.push(entry);
      continue;
    }
    const key = backendKey({ ip: value.addr, port: value.port });
    const other = service.backends.get(key);
    if (!other) service.backends.set(key, entry);
    else if (reachable.has(id) && !reachable.has(other.id)) {
      service.backends.set(key, entry);
      service.extra.push(other);
    } else service.extra.push(entry);
  }
  state.backendIds.continueAfter(newest);
}

function idsOf(dump: MapDump, run: Extent, size: number): ArrayLike<number> & Iterable<number> {
  if (run.count === 0 || run.base < 1 || run.base + run.count > size) return [];
  return Array.from(dump.slots(run.base, run.count));
}

/**
 * Runs that frontends lead to. One that is out of bounds, overlaps another's or names backends of
 * another service is not taken over: the frontend gets a new one when its service is planned.
 */
function restoreRuns(state: PlanState, dump: MapDump, found: readonly Found[], strays: Strays): void {
  const runs = new Map<string, { run: Run; owner: ServiceState | undefined }>();
  for (const { value, service } of found) {
    const sides: [bigint, number][] = [
      [value.internal, abi.FRONTEND_F_INTERNAL_MAGLEV],
      [value.external, abi.FRONTEND_F_EXTERNAL_MAGLEV],
    ];
    for (const [word, maglev] of sides) {
      const extent = runOf(word);
      const id = `${extent.base}+${extent.count}`;
      if (runs.has(id)) continue;
      const ids = idsOf(dump, extent, state.sizes.lb_slots);
      if (ids.length === 0) continue;
      const known = new Set([...(service?.backends.values() ?? [])].map((b) => b.id));
      const isOwn = service && Array.from(ids).every((b) => known.has(b));
      const run: Run = { ...extent, key: undefined };
      if (isOwn && (value.flags & maglev) === 0)
        run.key = `random:${ids.length}:${Array.from(ids).join(',')}`;
      else if (isOwn) run.slots = ids;
      runs.set(id, { run, owner: service });
    }
  }
  const taken: Extent[] = [];
  let end = 1;
  for (const { run, owner } of [...runs.values()].sort((a, b) => a.run.base - b.run.base)) {
    if (run.base < end) continue;
    end = run.base + run.count;
    taken.push(run);
    if (owner) owner.runs.push(run);
    else strays.runs.push({ base: run.base, count: run.count });
  }
  state.runs = new RunAllocator(state.sizes.lb_slots, taken);
}

function restoreRanges(
  state: PlanState,
  dump: MapDump,
  found: readonly Found[],
  strays: Strays,
  nodeRange: (key: LbSrcRangeKey) => void,
): void {
  const sets = new Map<number, LbSrcRangeKey[]>();
  for (const key of dump.ranges) {
    state.rangeCount++;
    if (key.range_set_id >= FIRST_NODE_RANGE_SET) nodeRange(key);
    else {
      const keys = sets.get(key.range_set_id) ?? [];
      sets.set(key.range_set_id, keys);
      keys.push(key);
    }
  }
  for (const { value, service } of found) {
    if ((value.flags & abi.FRONTEND_F_SOURCE_RANGES) === 0 || !service) continue;
    const id = value.range_set_id;
    if (service.ranges.some((set) => set.id === id)) continue;
    const keys = sets.get(id) ?? [];
    sets.delete(id);
    state.rangeSetIds.mark(id);
    service.ranges.push({ id, text: rangeSetText(keys), keys });
  }
  for (const [id, keys] of sets) {
    state.rangeSetIds.mark(id);
    strays.ranges.push({ id, keys });
  }
}
