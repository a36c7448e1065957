/**
 * Steps of a plan: plain data, in an order in which every prefix leaves the data path consistent.
 */
import type {
  LbBackend,
  LbFrontend,
  LbFrontendKey,
  LbSrcRangeKey,
  MapKey,
  MapValue,
} from '../abi/generated.js';

/** Hash maps that the agent writes by system call. */
export type PlanMap = 'lb_frontends' | 'lb_addresses' | 'lb_src_ranges' | 'meta_services' | 'meta_localities';

export type PutOp = {
  [M in PlanMap]: { kind: 'put'; map: M; key: MapKey<M>; value: MapValue<M>; replaces: boolean };
}[PlanMap];
export type DeleteOp = { [M in PlanMap]: { kind: 'delete'; map: M; key: MapKey<M> } }[PlanMap];

export type Op =
  | PutOp
  | DeleteOp
  /** Counters of an id that is given out again start at zero. */
  | { kind: 'zero'; map: 'stats_services' | 'stats_backends'; id: number }
  /** A whole new entry of lb_backends; its state word is stored last. */
  | { kind: 'backend'; id: number; value: LbBackend }
  /** One word of a reachable entry. */
  | { kind: 'backend-state'; id: number; state: number }
  | { kind: 'backend-locality'; id: number; localityId: number }
  /** A fresh run of lb_slots: nobody can see it yet. */
  | { kind: 'slots'; base: number; ids: ArrayLike<number> };

export interface Frees {
  services: number[];
  backends: number[];
  localities: number[];
  rangeSets: number[];
  /** Entries of lb_src_ranges that `after` deletes. */
  rangeEntries: number;
  runs: { base: number; count: number }[];
}

/** A service or an entry that could not be planned. */
export interface PlanProblem {
  /** Of the service left out or kept as it was; undefined for node-wide entries. */
  service?: string;
  /** `E2BIG` table full, `EEXIST` taken by another service, `EINVAL` refused value. */
  code: 'E2BIG' | 'EEXIST' | 'EINVAL';
  /** The full table. */
  map?: string;
  /** `<verb> <object>: <cause> (<code>). <next step>` */
  message: string;
}

export function frontendKeyText(key: LbFrontendKey): string {
  return `${key.kind}|${key.addr}|${key.port}|${key.proto}`;
}

export function rangeKeyText(key: LbSrcRangeKey): string {
  return `${key.range_set_id}|${key.addr}/${key.prefixlen}`;
}

export function sameFrontend(a: LbFrontend, b: LbFrontend): boolean {
  return (
    a.internal === b.internal &&
    a.external === b.external &&
    a.service_id === b.service_id &&
    a.flags === b.flags &&
    a.affinity_timeout_s === b.affinity_timeout_s &&
    a.range_set_id === b.range_set_id &&
    a.internal_mask === b.internal_mask &&
    a.external_mask === b.external_mask &&
    a.type === b.type
  );
}

export function runWord(run: { base: number; count: number } | undefined): bigint {
  return run && run.count > 0 ? (BigInt(run.count) << 32n) | BigInt(run.base) : 0n;
}

export function runOf(word: bigint): { base: number; count: number } {
  return { base: Number(word & 0xffffffffn), count: Number(word >> 32n) };
}
