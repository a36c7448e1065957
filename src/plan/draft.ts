/**
 * Works out one service's entries and reserves ids and slots for them, without changing what is
 * planned so far: a service that does not fit is given up whole and costs the others nothing.
 */
import type { LbFrontendKey } from '../abi/generated.js';
import type { DesiredBackend, DesiredFrontend, DesiredService } from '../model/desired.js';
import { buildMaglevTable, maglevTableSize } from '../model/maglev.js';
import { frontendKeyText, type PlanProblem } from './ops.js';
import {
  rangeSetText,
  refusedAddress,
  refusedPort,
  renderFrontendKey,
  renderRanges,
  type ScopeName,
  scopesOf,
} from './render.js';
import {
  type PlanSizes,
  type PlanState,
  type RangeSet,
  type Run,
  type ServiceState,
  SIZE_FLAGS,
} from './state.js';

export interface DraftBackend {
  id: number;
  /** `ip:port` */
  key: string;
  desired: DesiredBackend;
  isFresh: boolean;
}

export interface DraftFrontend {
  keyText: string;
  key: LbFrontendKey;
  desired: DesiredFrontend;
  ranges: RangeSet | undefined;
}

export interface Draft {
  desired: DesiredService;
  id: number;
  known: ServiceState | undefined;
  backends: DraftBackend[];
  runs: Map<ScopeName, Run | undefined>;
  freshRuns: { run: Run; ids: ArrayLike<number> }[];
  freshRanges: RangeSet[];
  frontends: DraftFrontend[];
  problems: PlanProblem[];
}

export class DoesNotFit extends Error {
  constructor(
    readonly problem: PlanProblem,
    /** Waiting may help: something is on its way out, or could go. */
    readonly mayFitLater: boolean,
  ) {
    super(problem.message);
  }
}

/** @throws DoesNotFit with nothing reserved. */
export function draftService(
  state: PlanState,
  desired: DesiredService,
  claim: (keyText: string, draft: Draft) => PlanProblem | undefined,
): Draft {
  const known = state.services.get(desired.id);
  const draft: Draft = {
    desired,
    id: known?.id ?? 0,
    known,
    backends: [],
    runs: new Map(),
    freshRuns: [],
    freshRanges: [],
    frontends: [],
    problems: [],
  };
  try {
    checkNames(desired);
    if (!known) draft.id = take(state, desired, 'services', state.serviceIds.take());
    draftBackends(state, draft);
    draftFrontends(state, draft, claim);
    draftRuns(state, draft);
    checkRoom(state, draft);
    return draft;
  } catch (error) {
    cancelDraft(state, draft);
    throw error;
  }
}

/** Gives back what the draft reserved; nobody has seen any of it. */
export function cancelDraft(state: PlanState, draft: Draft): void {
  if (!draft.known && draft.id !== 0) state.serviceIds.giveBack(draft.id);
  for (const b of draft.backends) if (b.isFresh) state.backendIds.giveBack(b.id);
  for (const { run } of draft.freshRuns) state.runs.giveBack(run);
  for (const set of draft.freshRanges) state.rangeSetIds.giveBack(set.id);
}

function checkNames(desired: DesiredService): void {
  const limits: [string, string][] = [
    ['namespace', desired.namespace],
    ['name', desired.name],
    ['port name', desired.portName],
  ];
  for (const [what, text] of limits) {
    if (new TextEncoder().encode(text).length <= 64 && !text.includes('\0')) continue;
    throw invalid(desired, `its ${what} is longer than 64 bytes`);
  }
}

function draftBackends(state: PlanState, draft: Draft): void {
  const { desired, known } = draft;
  for (const b of desired.backends) {
    const refused = refusedAddress(b.ip, desired.family, true) ?? refusedPort(b.port);
    const key = backendKey(b);
    if (refused) {
      const message = `add backend ${key} of ${desired.id}: ${refused} (EINVAL). Correct the endpoint.`;
      draft.problems.push({ service: desired.id, code: 'EINVAL', message });
      draft.backends.push({ id: 0, key, desired: b, isFresh: false });
      continue;
    }
    const id = known?.backends.get(key)?.id;
    if (id !== undefined) draft.backends.push({ id, key, desired: b, isFresh: false });
    else {
      const fresh = take(state, desired, 'lb_backends', state.backendIds.take());
      draft.backends.push({ id: fresh, key, desired: b, isFresh: true });
    }
  }
}

export function backendKey(b: { ip: string; port: number }): string {
  return `${b.ip}:${b.port}`;
}

function draftFrontends(
  state: PlanState,
  draft: Draft,
  claim: (keyText: string, draft: Draft) => PlanProblem | undefined,
): void {
  const { desired, known } = draft;
  const sets = new Map<string, RangeSet>();
  for (const frontend of desired.frontends) {
    const refused =
      (frontend.type === 'NodePort' ? undefined : refusedAddress(frontend.ip, desired.family, false)) ??
      refusedPort(frontend.port);
    if (refused) {
      const message = `add frontend ${frontend.ip}:${frontend.port} of ${desired.id}: ${refused} (EINVAL). Correct the Service.`;
      draft.problems.push({ service: desired.id, code: 'EINVAL', message });
      continue;
    }
    const key = renderFrontendKey(desired, frontend);
    const keyText = frontendKeyText(key);
    if (draft.frontends.some((f) => f.keyText === keyText)) continue;
    const taken = claim(keyText, draft);
    if (taken) {
      draft.problems.push(taken);
      continue;
    }
    let ranges: RangeSet | undefined;
    if (frontend.sourceRanges) {
      const text = rangesText(desired, frontend.sourceRanges);
      ranges = sets.get(text) ?? known?.ranges.find((set) => set.text === text);
      if (!ranges) {
        const id = state.rangeSetIds.take();
        ranges = { id, text, keys: renderRanges(id, frontend.sourceRanges) };
        draft.freshRanges.push(ranges);
      }
      sets.set(text, ranges);
    }
    draft.frontends.push({ keyText, key, desired: frontend, ranges });
  }
}

function rangesText(desired: DesiredService, prefixes: readonly string[]): string {
  try {
    return rangeSetText(renderRanges(0, prefixes));
  } catch (error) {
    throw invalid(desired, (error as Error).message);
  }
}

function draftRuns(state: PlanState, draft: Draft): void {
  const { desired, known } = draft;
  const used = new Set<ScopeName>();
  for (const f of draft.frontends) {
    const scopes = scopesOf(desired, f.desired);
    used.add(scopes.internal).add(scopes.external);
  }
  for (const scope of used) {
    const members: DraftBackend[] = [];
    for (const index of desired[scope].backends) {
      const backend = draft.backends[index];
      if (backend && backend.id !== 0) members.push(backend);
    }
    if (members.length === 0) {
      draft.runs.set(scope, undefined);
      continue;
    }
    const size = desired.algorithm === 'maglev' ? maglevTableSize(desired.backends.length) : members.length;
    const key = `${desired.algorithm}:${size}:${members.map((b) => b.id).join(',')}`;
    const same =
      known?.runs.find((r) => r.key === key) ?? draft.freshRuns.find((r) => r.run.key === key)?.run;
    draft.runs.set(scope, same ?? freshRun(state, draft, key, size, members));
  }
}

function freshRun(state: PlanState, draft: Draft, key: string, size: number, members: DraftBackend[]): Run {
  const { desired, known } = draft;
  let ids: ArrayLike<number> = members.map((b) => b.id);
  if (desired.algorithm === 'maglev') {
    const table = buildMaglevTable(
      members.map((b) => b.key),
      size,
    );
    ids = table.map((index) => members[index]?.id ?? 0);
    // A table found after a restart tells its members only by being equal to this one.
    const restored = known?.runs.find((r) => r.key === undefined && sameIds(r.slots, ids));
    if (restored) {
      restored.key = key;
      delete restored.slots;
      return restored;
    }
  }
  const base = state.runs.take(size);
  if (base === undefined) throw full(state, desired, 'lb_slots', state.runs.used, size);
  const run: Run = { base, count: size, key };
  draft.freshRuns.push({ run, ids });
  return run;
}

function sameIds(a: ArrayLike<number> | undefined, b: ArrayLike<number>): boolean {
  if (!a || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function checkRoom(state: PlanState, draft: Draft): void {
  const { sizes } = state;
  const { desired } = draft;
  const frontends = draft.frontends.filter((f) => !state.hasFrontend(f.keyText)).length;
  if (state.frontendCount + frontends > sizes.lb_frontends) {
    throw full(state, desired, 'lb_frontends', state.frontendCount, frontends);
  }
  const addresses = new Set(
    draft.frontends
      .filter((f) => f.desired.type !== 'NodePort' && !state.addresses.has(f.key.addr))
      .map((f) => f.key.addr),
  ).size;
  if (state.addresses.size + addresses > sizes.lb_addresses) {
    throw full(state, desired, 'lb_addresses', state.addresses.size, addresses);
  }
  const ranges = draft.freshRanges.reduce((n, set) => n + set.keys.length, 0);
  if (state.rangeCount + ranges > sizes.lb_src_ranges) {
    throw full(state, desired, 'lb_src_ranges', state.rangeCount, ranges);
  }
}

function take(
  state: PlanState,
  desired: DesiredService,
  map: 'services' | 'lb_backends',
  id: number | undefined,
): number {
  if (id !== undefined) return id;
  const pool = map === 'services' ? state.serviceIds : state.backendIds;
  throw full(state, desired, map, pool.used, 1);
}

function full(
  state: PlanState,
  desired: DesiredService,
  table: keyof PlanSizes,
  used: number,
  needed: number,
): DoesNotFit {
  const map = table === 'services' ? 'meta_services' : table;
  const kept = state.services.has(desired.id) ? 'it keeps its former entries' : 'it is not served';
  const message = `update service ${desired.id}: table ${map} is full, ${used} of ${state.sizes[table]} entries in use and ${needed} more needed, so ${kept} (E2BIG). Raise ${SIZE_FLAGS[table]} and restart the agent.`;
  return new DoesNotFit({ service: desired.id, code: 'E2BIG', map, message }, true);
}

function invalid(desired: DesiredService, cause: string): DoesNotFit {
  const message = `update service ${desired.id}: ${cause} (EINVAL). Correct the Service.`;
  return new DoesNotFit({ service: desired.id, code: 'EINVAL', message }, false);
}
