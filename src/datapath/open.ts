import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Abi, type LbSettings, readAbi, SETTING_READ_ONLY } from '../abi/index.js';
import {
  BpfMap,
  BpfObject,
  type BpfProgram,
  bpfObjectPath,
  membarrier,
  monotonicNs,
} from '../native/index.js';
import type { MapDump } from '../plan/index.js';
import { ConfigWords } from './config.js';
import { DatapathError } from './handles.js';
import { KernelMapStore, statsShards } from './kernelStore.js';
import { inodeOf, lockPinPath } from './lock.js';
import {
  layoutDirectory,
  linksDirectory,
  makePinDirectories,
  openPinnedMaps,
  pinMissing,
  pinNewMaps,
  RODATA_PIN,
} from './pins.js';
import { MapReader } from './read.js';
import { readRodata } from './rodata.js';
import { FlowSweeper, type FlowTimeouts } from './sweep.js';

/** Table sizes that differ from the object's own; entries, not bytes. */
export interface TableSizes {
  services?: number;
  backends?: number;
  slots?: number;
  frontends?: number;
  addresses?: number;
  sourceRanges?: number;
  localities?: number;
  flows?: number;
}

export interface DatapathOptions {
  /** Directory on bpffs; `<pinPath>/v1/` holds the maps, `<pinPath>/v1/links/` the attachments. */
  pinPath: string;
  /** Default: the built object of this package. */
  objectPath?: string;
  settings: LbSettings;
  sizes?: TableSizes;
  /** Programs to load; default all. */
  programs?: string[];
}

/** Layout of the pins; also the name of their directory. */
export const LAYOUT_VERSION = 1n;

/** The loaded programs and their maps, pinned. Owned by one process at a time. */
export class Datapath implements Disposable {
  readonly store: KernelMapStore;
  readonly config: ConfigWords;
  readonly reader: MapReader;
  #inode: number | undefined;

  constructor(
    readonly pinPath: string,
    readonly abi: Abi,
    readonly object: BpfObject,
    /** Maps that were pinned before this start: traffic is being served by them. */
    readonly reusedMaps: ReadonlySet<string>,
    private release: () => void,
  ) {
    this.#inode = inodeOf(pinPath);
    const map = (name: string) => object.map(name);
    this.store = new KernelMapStore({ abi, map, grace: membarrier });
    this.config = new ConfigWords(abi, map);
    this.reader = new MapReader(abi, map);
  }

  get layoutDirectory(): string {
    return layoutDirectory(this.pinPath);
  }

  get linksDirectory(): string {
    return linksDirectory(this.pinPath);
  }

  map(name: string): BpfMap {
    return this.object.map(name);
  }

  program(name: string): BpfProgram {
    return this.object.program(name);
  }

  /** What the maps hold, for Planner.restore. */
  readState(): MapDump {
    return this.store.dump();
  }

  /** Expiry of established flows; call `step` every few hundred milliseconds. */
  sweeper(timeouts?: FlowTimeouts): FlowSweeper {
    const map = this.object.map('ct_flows');
    return new FlowSweeper({ abi: this.abi, map, now: monotonicNs, ...(timeouts ? { timeouts } : {}) });
  }

  /**
   * Pins again what somebody has unpinned, or replaced by something else; the names. Without it the next agent
   * would begin with empty maps.
   * @throws DatapathError EBUSY when the directory was removed and another agent has made it anew.
   */
  restorePins(): string[] {
    makePinDirectories(this.pinPath);
    if (inodeOf(this.pinPath) !== this.#inode) {
      const release = lockPinPath(this.pinPath);
      this.release();
      if (release) this.release = release;
      this.#inode = inodeOf(this.pinPath);
    }
    return pinMissing(this.pinPath, [...this.abi.maps.keys()], this.object);
  }

  /** Closes handles and gives up the lock; pins and attachments go on. */
  close(): void {
    this.object.close();
    this.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Loads the programs onto the pinned maps, making and pinning those that are missing.
 * @throws DatapathError (no bpffs, another agent, maps that do not fit), BpfError (kernel, verifier).
 */
export async function openDatapath(options: DatapathOptions): Promise<Datapath> {
  const objectPath = options.objectPath ?? bpfObjectPath();
  const abi = readAbi(readObject(objectPath));
  makePinDirectories(options.pinPath);
  const release = lockPinPath(options.pinPath);
  if (!release) throw goneMeanwhile(options.pinPath);
  const opened: Disposable[] = [];
  try {
    const sizes = entriesByMap(abi, options.sizes ?? {});
    const pinned = openPinnedMaps(options.pinPath, objectPath, abi.maps.keys(), sizes);
    opened.push(...pinned.values());
    const object = await BpfObject.load({
      path: objectPath,
      rodata: { settings: abi.struct('lb_settings').encode(options.settings) },
      reuseMaps: Object.fromEntries(pinned),
      maxEntries: withQueue(abi, { ...sizes, ...sizesOf(pinned) }),
      ...(options.programs ? { programs: options.programs } : {}),
    });
    opened.push(object);
    pinNewMaps(options.pinPath, abi.maps.keys(), object, pinned);
    const datapath = new Datapath(options.pinPath, abi, object, new Set(pinned.keys()), release);
    datapath.config.set('layout_version', LAYOUT_VERSION);
    // The object holds descriptors of its own for the maps that it reuses.
    for (const map of pinned.values()) map.close();
    return datapath;
  } catch (error) {
    for (const handle of opened.reverse()) handle[Symbol.dispose]();
    release();
    throw error;
  }
}

/** A cleanup was quicker; EBUSY, because it is worth another try. */
function goneMeanwhile(pinPath: string): DatapathError {
  const text = `open ${pinPath}: it was removed while the agent started (EBUSY). Start the agent again.`;
  return new DatapathError('EBUSY', text);
}

function readObject(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new DatapathError(
      code,
      `open ${path}: cannot read the BPF object (${code}). Run \`npm run build:bpf\`.`,
    );
  }
}

/** A reused map keeps the size it was made with. */
function sizesOf(maps: ReadonlyMap<string, BpfMap>): Record<string, number> {
  return Object.fromEntries([...maps].map(([name, map]) => [name, map.info.maxEntries]));
}

/** The queue of ended connections holds one note for each pair of ct_flows. */
function withQueue(abi: Abi, sizes: Record<string, number>): Record<string, number> {
  const flows = sizes.ct_flows ?? abi.maps.get('ct_flows')?.maxEntries ?? 2;
  return { ...sizes, ct_closed: Math.ceil(flows / 2) };
}

/** Sizes asked for -> max_entries by map. */
function entriesByMap(abi: Abi, sizes: TableSizes): Record<string, number> {
  const declared = (name: string) => abi.maps.get(name)?.maxEntries ?? 0;
  const shards = statsShards((name) => ({ info: { maxEntries: declared(name) } }));
  const result: Record<string, number> = {};
  const set = (count: number | undefined, maps: Record<string, number>) => {
    if (count === undefined) return;
    for (const [name, factor] of Object.entries(maps)) result[name] = count * factor;
  };
  set(sizes.services, { meta_services: 1, stats_services: shards });
  set(sizes.backends, { lb_backends: 1, stats_backends: 1 });
  set(sizes.slots, { lb_slots: 1 });
  set(sizes.frontends, { lb_frontends: 1 });
  set(sizes.addresses, { lb_addresses: 1 });
  set(sizes.sourceRanges, { lb_src_ranges: 1 });
  set(sizes.localities, { meta_localities: 1 });
  set(sizes.flows, { ct_flows: 1 });
  return result;
}

/** The live maps without programs: for the command line, with or without an agent. */
export class ReadOnlyDatapath implements Disposable {
  readonly reader: MapReader;
  constructor(
    readonly pinPath: string,
    readonly abi: Abi,
    readonly objectPath: string,
    private readonly maps: ReadonlyMap<string, BpfMap>,
  ) {
    this.reader = new MapReader(abi, (name) => this.map(name));
  }

  map(name: string): BpfMap {
    const map = this.maps.get(name);
    if (!map) {
      throw new DatapathError(
        'ENOENT',
        `open map ${name}: not pinned in ${layoutDirectory(this.pinPath)} (ENOENT). Start the agent once.`,
      );
    }
    return map;
  }

  get mapNames(): string[] {
    return [...this.maps.keys()];
  }

  /** Settings of the programs that are live now. */
  readSettings(): LbSettings {
    using map = BpfMap.openPinned(join(layoutDirectory(this.pinPath), RODATA_PIN));
    return this.abi.struct('lb_settings').decode(readRodata(readObject(this.objectPath), map, 'settings'));
  }

  /**
   * Loads the same object a second time onto the live maps with every map write compiled out, for
   * `explain` and test runs. The caller closes it.
   */
  loadTwin(overrides: Partial<LbSettings> = {}, programs?: string[]): Promise<BpfObject> {
    const settings = { ...this.readSettings(), ...overrides };
    settings.flags |= SETTING_READ_ONLY;
    return BpfObject.load({
      path: this.objectPath,
      rodata: { settings: this.abi.struct('lb_settings').encode(settings) },
      reuseMaps: Object.fromEntries(this.maps),
      maxEntries: sizesOf(this.maps),
      ...(programs ? { programs } : {}),
    });
  }

  close(): void {
    for (const map of this.maps.values()) map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Opens the pinned maps for reading; loads nothing, needs no agent.
 * @throws DatapathError ENOENT when there is nothing, EINVAL when it is another version's.
 */
export function openReadOnly(options: { pinPath: string; objectPath?: string }): ReadOnlyDatapath {
  const objectPath = options.objectPath ?? bpfObjectPath();
  const abi = readAbi(readObject(objectPath));
  const maps = openPinnedMaps(options.pinPath, objectPath, abi.maps.keys(), {});
  if (maps.size === 0) {
    throw new DatapathError(
      'ENOENT',
      `open ${layoutDirectory(options.pinPath)}: no data path is pinned there (ENOENT). Start the agent, or give its --pin-path.`,
    );
  }
  return new ReadOnlyDatapath(options.pinPath, abi, objectPath, maps);
}
