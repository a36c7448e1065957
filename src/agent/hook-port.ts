import type { CgroupAttachName } from '../native/index.js';

/** The part of src/native that attaching needs, so that the rules about it can be tested without a kernel. */

export type TcDirection = 'ingress' | 'egress';

export interface LinkHandle<Program> {
  /** ifindex is 0 or absent, and cgroupId 0, once the kernel has detached the link from what is gone. */
  readonly info: { id: number; progId: number; ifindex?: number; cgroupId?: bigint };
  /** Replaces the program without a gap. */
  update(program: Program): void;
  pin(path: string): void;
  detach(): void;
  close(): void;
}

/** Where a classic tc filter of ours sits. */
export interface ClsactPlace {
  ifindex: number;
  direction: TcDirection;
  handle: number;
  priority: number;
}

export interface HookPort<Program> {
  /** tcx links exist (6.6 and later); else clsact filters are used. */
  readonly tcx: boolean;
  openPinned(path: string): LinkHandle<Program>;
  attachTcx(o: {
    ifindex: number;
    direction: TcDirection;
    program: Program;
    position: 'first' | 'last';
  }): LinkHandle<Program>;
  /** The link by which this very program hangs there. @throws when it is going or may not be opened by its id. */
  findTcx(o: { ifindex: number; direction: TcDirection; program: Program }): LinkHandle<Program> | undefined;
  attachXdp(o: { ifindex: number; program: Program; mode: 'native' | 'generic' }): LinkHandle<Program>;
  attachCgroup(o: {
    cgroupPath: string;
    attachType: CgroupAttachName;
    program: Program;
  }): LinkHandle<Program>;
  /** Name of the program in our place, undefined when the place is free. */
  findClsact(place: ClsactPlace): string | undefined;
  /** Adds the filter, or replaces the program of the one in our place. */
  setClsact(place: ClsactPlace, program: Program): void;
  detachClsact(place: ClsactPlace): void;
}

/** The files of the pin directory; bpffs in production. */
export interface PinDirectory {
  list(): string[];
  /** Full path of a name in it. */
  path(name: string): string;
  remove(name: string): void;
}

/** A filter in our place is ours only if it runs one of these. */
export const OUR_TC_PROGRAMS: readonly string[] = [
  'tc_pod_in',
  'tc_pod_out',
  'tc_uplink_in',
  'tc_uplink_out',
  'tc_layer3_in',
  'tc_layer3_out',
];

/** Ours among all filters: low priority runs first at ingress; egress comes after everybody else. */
export function clsactPlace(ifindex: number, direction: TcDirection): ClsactPlace {
  return { ifindex, direction, handle: 0x5408, priority: direction === 'ingress' ? 1 : 0xc000 };
}
