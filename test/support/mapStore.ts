// The maps in memory, and the same with faults: for tests of everything that writes through MapStore.
import type { LbBackend, MapKey, MapValue } from '../../src/abi/generated.js';
import type { MapEntry, MapStore } from '../../src/datapath/store.js';
import {
  frontendKeyText,
  type MapDump,
  type PlanMap,
  type PlanSizes,
  rangeKeyText,
} from '../../src/plan/index.js';

export const SMALL_SIZES: PlanSizes = {
  services: 64,
  lb_backends: 128,
  lb_slots: 4096,
  lb_frontends: 128,
  lb_addresses: 128,
  lb_src_ranges: 64,
  meta_localities: 64,
};

type Maps = { [M in PlanMap]: Map<string, MapEntry<M>> };

function keyText<M extends PlanMap>(map: M, key: MapKey<M>): string {
  if (map === 'lb_frontends') return frontendKeyText(key as MapKey<'lb_frontends'>);
  if (map === 'lb_src_ranges') return rangeKeyText(key as MapKey<'lb_src_ranges'>);
  return String(key);
}

const ROOM: Record<PlanMap, (sizes: PlanSizes) => number> = {
  lb_frontends: (s) => s.lb_frontends,
  lb_addresses: (s) => s.lb_addresses,
  lb_src_ranges: (s) => s.lb_src_ranges,
  meta_services: (s) => s.services,
  meta_localities: (s) => s.meta_localities,
};

export class FakeMapStore implements MapStore {
  readonly maps: Maps = {
    lb_frontends: new Map(),
    lb_addresses: new Map(),
    lb_src_ranges: new Map(),
    meta_services: new Map(),
    meta_localities: new Map(),
  };
  readonly backends = new Map<number, LbBackend>();
  readonly slots: Uint32Array;
  graces = 0;

  constructor(readonly sizes: PlanSizes = SMALL_SIZES) {
    this.slots = new Uint32Array(sizes.lb_slots);
  }

  put<M extends PlanMap>(map: M, entries: readonly MapEntry<M>[]): void {
    const table = this.maps[map] as Map<string, MapEntry<M>>;
    for (const entry of entries) {
      const text = keyText(map, entry.key);
      if (!table.has(text) && table.size >= ROOM[map](this.sizes)) {
        throw Object.assign(new Error(`update ${map}: table is full`), { code: 'E2BIG' });
      }
      table.set(text, structuredClone(entry));
    }
  }

  delete<M extends PlanMap>(map: M, keys: readonly MapKey<M>[]): void {
    for (const key of keys) this.maps[map].delete(keyText(map, key));
  }

  get<M extends PlanMap>(map: M, key: MapKey<M>): MapValue<M> | undefined {
    return (this.maps[map] as Map<string, MapEntry<M>>).get(keyText(map, key))?.value;
  }

  writeBackend(id: number, value: LbBackend): void {
    this.#check(id, this.sizes.lb_backends);
    this.backends.set(id, { ...value });
  }

  setBackendState(id: number, state: number): void {
    (this.backends.get(id) as LbBackend).state = state;
  }

  setBackendLocality(id: number, localityId: number): void {
    (this.backends.get(id) as LbBackend).locality_id = localityId;
  }

  writeSlots(base: number, ids: ArrayLike<number>): void {
    this.#check(base + ids.length - 1, this.sizes.lb_slots);
    for (let i = 0; i < ids.length; i++) this.slots[base + i] = ids[i] as number;
  }

  zeroStats(): void {}

  dump(): MapDump {
    const list = <M extends PlanMap>(map: M) =>
      [...(this.maps[map] as Map<string, MapEntry<M>>).values()].map((e): [MapKey<M>, MapValue<M>] =>
        structuredClone([e.key, e.value]),
      );
    return {
      frontends: list('lb_frontends'),
      addresses: list('lb_addresses'),
      ranges: list('lb_src_ranges').map(([key]) => key),
      services: list('meta_services'),
      localities: list('meta_localities'),
      backends: [...this.backends].map(([id, value]): [number, LbBackend] => [id, { ...value }]),
      slots: (base, count) => this.slots.slice(base, base + count),
    };
  }

  async grace(): Promise<void> {
    this.graces++;
  }

  #check(index: number, size: number): void {
    if (index < 1 || index >= size) throw new Error(`index ${index} is outside 1..${size - 1}`);
  }
}

/** Fails at the n-th call that writes, once; every call counts. */
export class FaultyMapStore extends FakeMapStore {
  failAt = Number.POSITIVE_INFINITY;
  failGrace = false;
  calls = 0;

  override put<M extends PlanMap>(map: M, entries: readonly MapEntry<M>[]): void {
    for (const entry of entries) {
      this.#count(`update ${map}`);
      super.put(map, [entry]);
    }
  }

  override delete<M extends PlanMap>(map: M, keys: readonly MapKey<M>[]): void {
    for (const key of keys) {
      this.#count(`delete from ${map}`);
      super.delete(map, [key]);
    }
  }

  override writeBackend(id: number, value: LbBackend): void {
    this.#count('write backend');
    super.writeBackend(id, value);
  }

  override setBackendState(id: number, state: number): void {
    this.#count('set state');
    super.setBackendState(id, state);
  }

  override writeSlots(base: number, ids: ArrayLike<number>): void {
    this.#count('write slots');
    super.writeSlots(base, ids);
  }

  override async grace(): Promise<void> {
    if (this.failGrace) {
      this.failGrace = false;
      throw Object.assign(new Error('membarrier'), { code: 'EINVAL' });
    }
    await super.grace();
  }

  #count(what: string): void {
    if (this.calls++ === this.failAt) {
      throw Object.assign(new Error(`${what}: fault on purpose`), { code: 'ENOMEM' });
    }
  }
}
