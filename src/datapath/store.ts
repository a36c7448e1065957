import type { LbBackend, MapKey, MapValue } from '../abi/generated.js';
import type { MapDump, PlanMap, PlanSizes } from '../plan/index.js';

/** One key and value of a hash map. */
export interface MapEntry<M extends PlanMap> {
  key: MapKey<M>;
  value: MapValue<M>;
}

/**
 * The maps that plans write, as an interface with three implementations: the kernel's, one in memory
 * and a faulty one (test/support/mapStore.ts).
 */
export interface MapStore {
  /** max_entries of the maps, as the planner needs them. */
  readonly sizes: PlanSizes;
  /** @throws BpfError naming map and key; entries before the failing one may have been written. */
  put<M extends PlanMap>(map: M, entries: readonly MapEntry<M>[]): void;
  /** Keys that are not there are fine. */
  delete<M extends PlanMap>(map: M, keys: readonly MapKey<M>[]): void;
  /** Writes a whole entry, its state word last. */
  writeBackend(id: number, value: LbBackend): void;
  setBackendState(id: number, state: number): void;
  setBackendLocality(id: number, localityId: number): void;
  writeSlots(base: number, ids: ArrayLike<number>): void;
  zeroStats(map: 'stats_services' | 'stats_backends', id: number): void;
  /** What the maps hold now. The result reads lazily: use it before the next write. */
  dump(): MapDump;
  /** Resolves when every program run that began before the call has ended. */
  grace(): Promise<void>;
}
