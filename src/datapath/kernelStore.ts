import {
  type Abi,
  type Codec,
  DROP_REASON_MAX,
  fieldOffset,
  type LbBackend,
  type MapKey,
  type MapValue,
} from '../abi/index.js';
import type { MapDump, PlanMap, PlanSizes } from '../plan/index.js';
import type { MapByName } from './handles.js';
import type { MapEntry, MapStore } from './store.js';

/** Fewer entries than this are not worth a batch call. */
const BATCH_MIN = 8;

/** Counters have this many copies per index: stats_drops has one row per reason. */
export function statsShards(map: (name: string) => { info: { maxEntries: number } }): number {
  return map('stats_drops').info.maxEntries / DROP_REASON_MAX;
}

export function planSizes(map: MapByName): PlanSizes {
  const max = (name: string) => map(name).info.maxEntries;
  return {
    services: Math.min(max('meta_services'), Math.floor(max('stats_services') / statsShards(map))),
    lb_backends: Math.min(max('lb_backends'), max('stats_backends')),
    lb_slots: max('lb_slots'),
    lb_frontends: max('lb_frontends'),
    lb_addresses: max('lb_addresses'),
    lb_src_ranges: max('lb_src_ranges'),
    meta_localities: max('meta_localities'),
  };
}

/**
 * The kernel's maps. Arrays are mapped and written by whole 32-bit elements (a DataView store may
 * tear); hash maps by system call, in batches where there are many entries.
 */
export class KernelMapStore implements MapStore {
  readonly sizes: PlanSizes;
  readonly #abi: Abi;
  readonly #map: MapByName;
  readonly #grace: () => Promise<void>;
  readonly #backends: Uint32Array;
  readonly #backendWords: number;
  readonly #backendCodec: Codec<LbBackend>;
  readonly #scratch: Uint8Array;
  readonly #scratchWords: Uint32Array;
  readonly #stateWord: number;
  readonly #localityWord: number;
  readonly #generationWord: number;
  readonly #slots: Uint32Array;
  readonly #slotWords: number;
  readonly #stats: Record<'stats_services' | 'stats_backends', { words: BigUint64Array; perId: number }>;

  constructor(options: { abi: Abi; map: MapByName; grace: () => Promise<void> }) {
    const { abi, map } = options;
    this.#abi = abi;
    this.#map = map;
    this.#grace = options.grace;
    this.sizes = planSizes(map);
    const layout = abi.layout('lb_backend');
    this.#backends = new Uint32Array(map('lb_backends').mmap());
    this.#backendWords = map('lb_backends').valueStride / 4;
    this.#backendCodec = abi.map('lb_backends').value;
    this.#scratch = new Uint8Array(this.#backendCodec.size);
    this.#scratchWords = new Uint32Array(this.#scratch.buffer);
    this.#stateWord = fieldOffset(layout, 'state') / 4;
    this.#localityWord = fieldOffset(layout, 'locality_id') / 4;
    this.#generationWord = fieldOffset(layout, 'generation') / 4;
    this.#slots = new Uint32Array(map('lb_slots').mmap());
    this.#slotWords = map('lb_slots').valueStride / 4;
    const stats = (name: 'stats_services' | 'stats_backends', shards: number) => ({
      words: new BigUint64Array(map(name).mmap()),
      perId: (map(name).valueStride / 8) * shards,
    });
    this.#stats = {
      stats_services: stats('stats_services', statsShards(map)),
      stats_backends: stats('stats_backends', 1),
    };
  }

  put<M extends PlanMap>(name: M, entries: readonly MapEntry<M>[]): void {
    const { key: keys, value: values } = this.#abi.map(name);
    const map = this.#map(name);
    const keyBytes = new Uint8Array(keys.size * entries.length);
    const valueBytes = new Uint8Array(values.size * entries.length);
    entries.forEach(({ key, value }, i) => {
      keys.encode(key, keyBytes, i * keys.size);
      values.encode(value, valueBytes, i * values.size);
    });
    if (entries.length >= BATCH_MIN) {
      try {
        if (map.updateBatch(keyBytes, valueBytes, entries.length) === entries.length) return;
      } catch {
        // Not supported for this map or one entry failed: one by one tells which, and repeats do no harm.
      }
    }
    for (let i = 0; i < entries.length; i++) {
      map.update(part(keyBytes, i, keys.size), part(valueBytes, i, values.size));
    }
  }

  delete<M extends PlanMap>(name: M, list: readonly MapKey<M>[]): void {
    const codec = this.#abi.map(name).key;
    const map = this.#map(name);
    const bytes = new Uint8Array(codec.size * list.length);
    list.forEach((key, i) => {
      codec.encode(key, bytes, i * codec.size);
    });
    if (list.length >= BATCH_MIN) {
      try {
        if (map.deleteBatch(bytes, list.length) === list.length) return;
      } catch {
        // A batch stops at the first key that is not there.
      }
    }
    for (let i = 0; i < list.length; i++) map.delete(part(bytes, i, codec.size));
  }

  writeBackend(id: number, value: LbBackend): void {
    const base = this.#backendAt(id);
    this.#backendCodec.encode(value, this.#scratch);
    // The id was out of use for a grace period; until the state word is stored the entry is dead.
    Atomics.store(this.#backends, base + this.#stateWord, 0);
    for (let i = 0; i < this.#scratchWords.length; i++) {
      if (i !== this.#stateWord) this.#backends[base + i] = this.#scratchWords[i] as number;
    }
    Atomics.store(this.#backends, base + this.#stateWord, value.state);
  }

  setBackendState(id: number, state: number): void {
    Atomics.store(this.#backends, this.#backendAt(id) + this.#stateWord, state);
  }

  setBackendLocality(id: number, localityId: number): void {
    Atomics.store(this.#backends, this.#backendAt(id) + this.#localityWord, localityId);
  }

  writeSlots(base: number, ids: ArrayLike<number>): void {
    // A typed array ignores stores outside its bounds: that must not pass unseen.
    if (base < 1 || base + ids.length > this.sizes.lb_slots) {
      throw new RangeError(`write lb_slots ${base}+${ids.length}: outside the table (EINVAL).`);
    }
    for (let i = 0; i < ids.length; i++) this.#slots[(base + i) * this.#slotWords] = ids[i] as number;
  }

  zeroStats(name: 'stats_services' | 'stats_backends', id: number): void {
    const { words, perId } = this.#stats[name];
    for (let i = id * perId; i < (id + 1) * perId; i++) Atomics.store(words, i, 0n);
  }

  dump(): MapDump {
    return {
      frontends: this.#decoded('lb_frontends'),
      addresses: this.#decoded('lb_addresses'),
      ranges: this.#keys('lb_src_ranges'),
      services: this.#decoded('meta_services'),
      localities: this.#decoded('meta_localities'),
      backends: this.#writtenBackends(),
      slots: (base, count) => {
        const ids = new Uint32Array(count);
        for (let i = 0; i < count; i++) ids[i] = this.#slots[(base + i) * this.#slotWords] ?? 0;
        return ids;
      },
    };
  }

  grace(): Promise<void> {
    return this.#grace();
  }

  *#decoded<M extends PlanMap>(name: M): Generator<[MapKey<M>, MapValue<M>]> {
    const { key, value } = this.#abi.map(name);
    for (const [k, v] of this.#map(name).entries()) yield [key.decode(k), value.decode(v)];
  }

  *#keys<M extends PlanMap>(name: M): Generator<MapKey<M>> {
    for (const [key] of this.#decoded(name)) yield key;
  }

  *#writtenBackends(): Generator<[number, LbBackend]> {
    for (let id = 1; id < this.sizes.lb_backends; id++) {
      const base = id * this.#backendWords;
      if (this.#backends[base + this.#generationWord] === 0) continue;
      for (let i = 0; i < this.#scratchWords.length; i++) {
        this.#scratchWords[i] = this.#backends[base + i] as number;
      }
      yield [id, this.#backendCodec.decode(this.#scratch)];
    }
  }

  #backendAt(id: number): number {
    if (id < 1 || id >= this.sizes.lb_backends) {
      throw new RangeError(`write lb_backends ${id}: outside the table (EINVAL).`);
    }
    return id * this.#backendWords;
  }
}

function part(bytes: Uint8Array, index: number, size: number): Uint8Array {
  return bytes.subarray(index * size, (index + 1) * size);
}
