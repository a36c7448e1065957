import { addon, type Bytes, type MapBatch, type MapSpec, type NativeMap } from './addon.js';
import { MapType } from './constants.js';
import { checkInteger, checkOptions } from './options.js';

/** What a pinned map must be; what is left out is not compared. */
export interface MapExpectation {
  type?: number;
  keySize?: number;
  valueSize?: number;
  maxEntries?: number;
  flags?: number;
  /** Canonical texts of the C types, as in {@link BpfMap.describe} and `BpfObject.inspect`. */
  btf?: { key?: string; value?: string };
  /** Ignored, so that a whole {@link MapSpec} may be passed. */
  name?: string;
}

export interface MapCreateOptions {
  /** At most 15 characters. */
  name: string;
  /** {@link MapType}. */
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  /** {@link MapFlag}. */
  flags?: number;
  /** Template of the values of a map of maps. */
  innerMap?: BpfMap;
}

const EXPECTATION_KEYS = ['type', 'keySize', 'valueSize', 'maxEntries', 'flags', 'btf', 'name'];
const CREATE_KEYS = ['name', 'type', 'keySize', 'valueSize', 'maxEntries', 'flags', 'innerMap'];
const DEFAULT_BATCH = 1024;

/**
 * One kernel map. Keys and values are the bytes that the kernel exchanges: exactly `keySize` and
 * `valueSize` long, in the machine's byte order and with the C layout. Values of per-CPU maps have one slot
 * for each possible CPU, each rounded up to 8 bytes (`valueBytes` in all).
 *
 * Every call throws {@link BpfError}; on a closed map with code `EBADF`. Close it (or use `using`): a map that
 * is merely forgotten keeps its descriptor until the garbage collector finds it.
 */
export class BpfMap implements Disposable {
  /** As the kernel reports it; `name` is the full one where it is known. */
  readonly info: Readonly<MapSpec & { id: number }>;
  /** Bytes from one value to the next in {@link mmap}: the value's size rounded up to 8. */
  readonly valueStride: number;
  /** Bytes of one value in {@link lookup} and {@link update}. */
  readonly valueBytes: number;

  /** Not for direct use: maps come from `BpfObject`, {@link create}, {@link openPinned}, {@link openById}. */
  constructor(readonly handle: NativeMap) {
    const { valueBytes, ...info } = handle.info;
    this.info = Object.freeze(info);
    this.valueBytes = valueBytes;
    this.valueStride = Math.ceil(info.valueSize / 8) * 8;
  }

  /** A new map without an object file and without BTF. */
  static create(options: MapCreateOptions): BpfMap {
    checkOptions('BpfMap.create', options, CREATE_KEYS);
    const { innerMap, ...spec } = options;
    return new BpfMap(
      addon().createMap({ flags: 0, ...spec, ...(innerMap ? { innerMap: innerMap.handle } : {}) }),
    );
  }

  /**
   * Opens a pinned map. Refused with `EINVAL`, naming both sides, when type, sizes, flags or BTF are not as
   * expected, or when it is no map; `ENOENT` when nothing is pinned there. BTF is compared field by field
   * (names, offsets, types, typedefs), and only where the kernel keeps it for that type of map.
   */
  static openPinned(path: string, expect: MapExpectation = {}): BpfMap {
    checkOptions('BpfMap.openPinned', expect, EXPECTATION_KEYS);
    return new BpfMap(addon().openPinnedMap(path, expect));
  }

  /** Opens a map by its kernel id, for example in another worker thread. */
  static openById(id: number): BpfMap {
    return new BpfMap(addon().openMapById(checkInteger('BpfMap.openById', 'id', id, 1)));
  }

  /** The file descriptor, owned by this object; for maps of maps and foreign calls. */
  get fd(): number {
    return this.handle.fd;
  }

  get closed(): boolean {
    return this.handle.closed;
  }

  /** `info` together with the canonical texts of the C types of key and value. */
  describe(): MapSpec & { id: number } {
    return this.handle.describe();
  }

  /** A copy of the value, or undefined when the key is absent. */
  lookup(key: Bytes): Bytes | undefined {
    return this.handle.lookup(key);
  }

  /** `flags`: {@link UpdateFlag}. Codes: `E2BIG` full, `EEXIST`/`ENOENT` against the flags. */
  update(key: Bytes, value: Bytes, flags = 0): void {
    this.handle.update(key, value, flags);
  }

  /** Whether the key was there. Array elements cannot be deleted (`EINVAL`). */
  delete(key: Bytes): boolean {
    return this.handle.delete(key);
  }

  /** The key after `key`, or the first; undefined at the end. From an absent key it starts again at the first. */
  nextKey(key?: Bytes): Bytes | undefined {
    return this.handle.nextKey(key);
  }

  /**
   * Up to `count` entries from `cursor` on; the answer's `cursor` is undefined after the last batch. Undefined
   * when the kernel has no batch form for this type of map. More than `count` entries come back when one hash
   * bucket holds more.
   */
  lookupBatch(count = DEFAULT_BATCH, cursor?: Bytes): MapBatch | undefined {
    return this.handle.lookupBatch(checkInteger('lookupBatch', 'count', count, 1), cursor);
  }

  /**
   * Writes `count` entries from keys and values laid end to end; returns how many. On failure the thrown error's
   * `processed` says how many were written before. One by one where the kernel has no batch form.
   */
  updateBatch(keys: Bytes, values: Bytes, count: number, flags = 0): number {
    return this.handle.updateBatch(keys, values, checkInteger('updateBatch', 'count', count, 0), flags);
  }

  /** Deletes `count` keys laid end to end; returns how many were there. Absent keys are passed over. */
  deleteBatch(keys: Bytes, count: number): number {
    return this.handle.deleteBatch(keys, checkInteger('deleteBatch', 'count', count, 0));
  }

  /**
   * Every entry, by batches where the kernel has them. Under concurrent writers an entry may be missed or seen
   * twice, as with any walk over a kernel hash map; the walk always ends.
   */
  *entries(): IterableIterator<[key: Bytes, value: Bytes]> {
    let batch = this.lookupBatch();
    if (!batch) {
      yield* this.entriesOneByOne();
      return;
    }
    const { keySize } = this.info;
    for (;;) {
      for (let i = 0; i < batch.count; i++) {
        yield [
          batch.keys.subarray(i * keySize, (i + 1) * keySize),
          batch.values.subarray(i * this.valueBytes, (i + 1) * this.valueBytes),
        ];
      }
      if (!batch.cursor) return;
      const next: MapBatch | undefined = this.lookupBatch(DEFAULT_BATCH, batch.cursor);
      if (!next) return;
      batch = next;
    }
  }

  private *entriesOneByOne(): IterableIterator<[Bytes, Bytes]> {
    // A key that vanishes under the walk sends it back to the start: bounded, so that it ends all the same.
    let key = this.nextKey();
    for (let steps = 0; key && steps <= this.info.maxEntries; steps++) {
      const value = this.lookup(key);
      const next = this.nextKey(key);
      if (value) yield [key, value];
      key = next;
    }
  }

  /**
   * The memory of an array made with `BPF_F_MMAPABLE`, shared with the programs: `maxEntries * valueStride` bytes.
   * Write it through elements of a `Uint32Array` or `BigUint64Array` (or `Atomics`), never through a `DataView`,
   * whose stores may be seen half done. The same buffer is returned while it lives.
   *
   * {@link munmap} and {@link close} detach it first, so that a late access throws or reads undefined instead of
   * touching unmapped memory. A forgotten buffer is unmapped by the garbage collector, also after the map is closed.
   */
  mmap(): ArrayBuffer {
    return this.handle.mmap();
  }

  /** Detaches and unmaps the buffer of {@link mmap}. Idempotent. */
  munmap(): void {
    this.handle.munmap();
  }

  /** Ends writes from user space for good (programs are not affected). */
  freeze(): void {
    this.handle.freeze();
  }

  /** Keeps the map alive under a path on bpffs; `EEXIST` when something is there. */
  pin(path: string): void {
    this.handle.pin(path);
  }

  /** Detaches the mapped buffer, unmaps it and closes the descriptor. Idempotent. */
  close(): void {
    this.handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Whether lookups of such a map return one value per possible CPU. */
export function isPerCpu(type: number): boolean {
  return type === MapType.PERCPU_HASH || type === MapType.PERCPU_ARRAY || type === MapType.LRU_PERCPU_HASH;
}
