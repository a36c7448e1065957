import type { MapKey, MapName, MapValue } from '../abi/index.js';

/** How full a map is. */
export interface MapUsage {
  name: string;
  /** hash, lru_hash, array, lpm_trie, ringbuf, ... */
  type: string;
  /** Entries in use; of an array those that are not all zero. null: the type can't tell (ring buffers). */
  entries: number | null;
  maxEntries: number;
  keySize: number;
  valueSize: number;
  /** Memory the kernel holds for it; null where the kernel does not say. */
  bytes: number | null;
}

/** A pinned link: where a program of ours is attached. */
export interface PinnedLink {
  /** tc_ingress, tc_egress, xdp, xdp_generic or the name of a socket hook. */
  hook: string;
  /** Device name as pinned; undefined for socket hooks. */
  device?: string;
  /** tcx, xdp, cgroup; 'unknown' when the kernel has no name for it. */
  type: string;
  programId: number;
  /** false: the kernel detached it when its device or cgroup went. */
  attached: boolean;
}

/** What the commands see of the kernel: the pinned maps, decoded. Agent or no agent makes no difference. */
export interface MapsReader extends Disposable {
  /** As given with --pin-path. */
  readonly pinPath: string;
  /** CLOCK_MONOTONIC, the clock of every time stamp in the maps. */
  nowNs(): bigint;
  mapNames(): MapName[];
  /** Entries of a map in no particular order; of an array only those that are not all zero. */
  entries<M extends MapName>(name: M): Iterable<[MapKey<M>, MapValue<M>]>;
  maxEntries(name: MapName): number;
  /** Backend ids of a run of slots. */
  slots(base: number, count: number): Uint32Array;
  usage(): MapUsage[];
  links(): PinnedLink[];
}
