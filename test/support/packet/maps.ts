import type { Abi, Codec, MapKey, MapName, MapValue } from '../../../src/abi/index.js';
import type { BpfMap, BpfObject } from '../../../src/native/index.js';

/** A map by the names of its fields. For hashes and tries. */
export class TypedMap<M extends MapName> {
  readonly name: M;
  readonly #map: BpfMap;
  readonly #key: Codec<MapKey<M>>;
  readonly #value: Codec<MapValue<M>>;

  constructor(object: BpfObject, abi: Abi, name: M) {
    this.name = name;
    this.#map = object.map(name);
    const codec = abi.map(name);
    this.#key = codec.key;
    this.#value = codec.value;
  }

  set(key: MapKey<M>, value: MapValue<M>): void {
    this.#map.update(this.#key.encode(key), this.#value.encode(value));
  }

  get(key: MapKey<M>): MapValue<M> | undefined {
    const bytes = this.#map.lookup(this.#key.encode(key));
    return bytes && this.#value.decode(bytes);
  }

  delete(key: MapKey<M>): void {
    this.#map.delete(this.#key.encode(key));
  }

  entries(): [MapKey<M>, MapValue<M>][] {
    return Array.from(this.#map.entries(), ([k, v]) => [this.#key.decode(k), this.#value.decode(v)]);
  }

  clear(): void {
    for (let key = this.#map.nextKey(); key; key = this.#map.nextKey()) this.#map.delete(key);
  }
}

/** An mmapped array. No program runs while a test reads or writes, so torn stores are no matter here. */
export class TypedArray<M extends MapName> {
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #stride: number;
  readonly #value: Codec<MapValue<M>>;

  constructor(object: BpfObject, abi: Abi, name: M) {
    const map = object.map(name);
    this.length = map.info.maxEntries;
    this.#stride = map.valueStride;
    this.#bytes = new Uint8Array(map.mmap());
    this.#value = abi.map(name).value;
  }

  set(index: number, value: MapValue<M>): void {
    if (index >= this.length) throw new Error(`write array: index ${index} of ${this.length} (ERANGE).`);
    this.#value.encode(value, this.#bytes, index * this.#stride);
  }

  get(index: number): MapValue<M> {
    return this.#value.decode(this.#bytes, index * this.#stride);
  }

  clear(): void {
    this.#bytes.fill(0);
  }
}
