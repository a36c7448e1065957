import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { BpfError, type KernelFailure } from './errors.js';
import { addonPath } from './paths.js';

// The addon as C++ exports it: positional arguments, no defaults, no checks beyond memory safety. The
// classes of this directory take these handles in their constructors, so tests can pass their own.

export type Bytes = Uint8Array;

/** What a map is; `btf` has canonical texts of the C types, only where it was asked for. */
export interface MapSpec {
  name: string;
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  btf?: { key: string; value: string };
}

export interface NativeMap {
  readonly info: MapSpec & { id: number; valueBytes: number };
  readonly fd: number;
  readonly closed: boolean;
  describe(): MapSpec & { id: number };
  lookup(key: Bytes): Bytes | undefined;
  update(key: Bytes, value: Bytes, flags: number): void;
  delete(key: Bytes): boolean;
  nextKey(key?: Bytes): Bytes | undefined;
  lookupBatch(count: number, cursor?: Bytes): MapBatch | undefined;
  updateBatch(keys: Bytes, values: Bytes, count: number, flags: number): number;
  deleteBatch(keys: Bytes, count: number): number;
  mmap(): ArrayBuffer;
  munmap(): void;
  freeze(): void;
  pin(path: string): void;
  close(): void;
}

export interface MapBatch {
  keys: Bytes;
  values: Bytes;
  count: number;
  /** Where to go on; absent after the last batch. */
  cursor?: Bytes;
}

export interface ProgramInfo {
  id: number;
  /** `enum bpf_prog_type`. */
  type: number;
  /** Hash of the instructions, 16 hexadecimal digits: the same code has the same tag. */
  tag: string;
  name: string;
  /** CLOCK_BOOTTIME of the load. */
  loadTimeNs: bigint;
  instructions: number;
  jitedBytes: number;
  verifiedInstructions: number;
  /** Both 0 unless the sysctl kernel.bpf_stats_enabled is on. */
  runTimeNs: bigint;
  runCount: bigint;
  mapIds: number[];
}

export interface NativeProgram {
  readonly info: ProgramInfo;
  readonly fd: number;
  readonly closed: boolean;
  testRun(request: {
    data: Bytes;
    ctx?: Bytes | undefined;
    repeat: number;
    dataOutSize: number;
    flags: number;
    batchSize: number;
  }): { retval: number; data: Bytes; ctx?: Bytes; durationNs: number };
  pin(path: string): void;
  close(): void;
}

export interface LinkKernelInfo {
  id: number;
  type: number;
  progId: number;
  ifindex?: number;
  cgroupId?: bigint;
  attachType?: number;
}

export interface NativeLink {
  readonly info: LinkKernelInfo;
  readonly fd: number;
  readonly closed: boolean;
  update(program: NativeProgram, expected?: NativeProgram): void;
  detach(): void;
  pin(path: string): void;
  close(): void;
}

export interface NativeRingBuffer {
  readonly closed: boolean;
  consume(): Bytes[];
  setRef(ref: boolean): void;
  close(): void;
}

export interface NativeNetlink {
  readonly closed: boolean;
  dump(what: 'links' | 'addresses' | 'neighbours' | 'routes'): Promise<object[]>;
  setRef(ref: boolean): void;
  close(): void;
}

export interface ClsactFilter {
  handle: number;
  priority: number;
  progId: number;
  tag: string;
  name: string;
}

/** A tc filter of any kind; `progId` and `name` for BPF ones. */
export interface TcFilter {
  kind: string;
  priority: number;
  handle: number;
  progId?: number;
  name?: string;
}

/** Ids of the programs in each mode, 0 for none. */
export interface XdpPrograms {
  native: number;
  generic: number;
  hardware: number;
}

/** A chain of nf_tables; `family` as AF_* numbers it, 1 for inet. */
export interface NftChain {
  family: number;
  table: string;
  name: string;
}

export interface ObjectFile {
  maps: MapSpec[];
  programs: { name: string; section: string; type: number; instructions: number }[];
  /** Variables of the .rodata sections. */
  variables: { section: string; name: string; offset: number; size: number }[];
}

export interface NativeAddon {
  setErrorFactory(make: (failure: KernelFailure) => Error): void;
  loadObject(
    path: string,
    rodata: Record<string, Bytes>,
    reuseMaps: Record<string, NativeMap>,
    maxEntries: Record<string, number>,
    programs?: string[],
  ): Promise<{
    maps: { name: string; handle: NativeMap }[];
    programs: { name: string; handle: NativeProgram }[];
  }>;
  inspectObject(path: string): ObjectFile;
  createMap(spec: Omit<MapSpec, 'btf'> & { innerMap?: NativeMap }): NativeMap;
  openPinnedMap(path: string, expect?: object): NativeMap;
  openMapById(id: number): NativeMap;
  openPinnedProgram(path: string): NativeProgram;
  openProgramById(id: number): NativeProgram;
  attachTcx(
    ifindex: number,
    egress: boolean,
    program: NativeProgram,
    after: boolean,
    anchor?: NativeLink,
  ): NativeLink;
  attachXdp(ifindex: number, generic: boolean, program: NativeProgram): NativeLink;
  attachCgroup(path: string, attachType: number, name: string, program: NativeProgram): NativeLink;
  openPinnedLink(path: string): NativeLink;
  openLinkById(id: number): NativeLink;
  attachClsact(
    ifindex: number,
    egress: boolean,
    handle: number,
    priority: number,
    program: NativeProgram,
    replace: boolean,
  ): ClsactFilter;
  findClsact(ifindex: number, egress: boolean, handle: number, priority: number): ClsactFilter | undefined;
  detachClsact(ifindex: number, egress: boolean, handle: number, priority: number): boolean;
  queryTcx(ifindex: number, egress: boolean): { progId: number; linkId: number }[];
  queryCgroup(path: string, attachType: number): number[];
  queryXdp(ifindex: number): XdpPrograms;
  queryFilters(ifindex: number, egress: boolean): TcFilter[];
  xdpFeatures(ifindex: number): number | undefined;
  nftChains(): NftChain[];
  probeFeatures(): Record<string, boolean> & { libbpf: string };
  probeHelper(programType: number, helper: number): boolean;
  membarrier(byMap?: boolean): Promise<'membarrier' | 'map'>;
  netnsCookie(): bigint;
  monotonicNs(): bigint;
  mountBpffs(path: string): void;
  isBpffs(path: string): boolean;
  lockFile(fd: number): boolean;
  openHandles(): number;
  RingBuffer: new (
    map: NativeMap,
    onRecords: (records: Bytes[]) => void,
    maxPerWakeup: number,
  ) => NativeRingBuffer;
  Netlink: new (
    groups: number[],
    onEvents: (records: { event: string }[], overflow: boolean) => void,
    receiveBufferBytes: number,
  ) => NativeNetlink;
}

// Called from C++; the stack begins at the caller's own line.
function makeError(failure: KernelFailure): BpfError {
  const error = new BpfError(failure);
  Error.captureStackTrace(error, makeError);
  return error;
}

let loaded: NativeAddon | undefined;

/** Loads the addon on first use, so that importing this library needs no build and no root. */
export function addon(): NativeAddon {
  if (loaded) return loaded;
  const path = addonPath();
  if (!existsSync(path)) {
    throw new Error(`load addon ${path}: not built. Run "npm run build:native".`);
  }
  const fresh = createRequire(import.meta.url)(path) as NativeAddon;
  fresh.setErrorFactory(makeError);
  loaded = fresh;
  return fresh;
}
