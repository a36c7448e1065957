import type { MapName } from '../abi/index.js';
import type { MapReader } from '../datapath/index.js';

/** A pinned link: where a program of ours is attached. */
export interface PinnedLink {
  /** tc_ingress, tc_egress, xdp, xdp_generic or the name of a socket hook. */
  hook: string;
  /** Device name as pinned; undefined for socket hooks. */
  device?: string;
  /** tcx, xdp, cgroup. */
  type: string;
  programId: number;
  /** false: the kernel detached it when its device or cgroup went. */
  attached: boolean;
}

/** The part of the data path's reader that commands use. */
export type LiveMaps = Pick<
  MapReader,
  | 'frontends'
  | 'backends'
  | 'flows'
  | 'affinities'
  | 'serviceCounters'
  | 'drops'
  | 'paths'
  | 'config'
  | 'tables'
  | 'entries'
>;

/** What commands see of the kernel. Agent or no agent makes no difference. */
export interface LiveState extends Disposable {
  /** As given with --pin-path. */
  readonly pinPath: string;
  readonly maps: LiveMaps;
  /** CLOCK_MONOTONIC, the clock of every time stamp in the maps. */
  nowNs(): bigint;
  /** Maps that have entries. */
  mapNames(): MapName[];
  /** Memory that the kernel holds for a map; null where it does not say. */
  memoryBytes(mapName: string): number | null;
  links(): PinnedLink[];
}
