/** The part of a map that counting needs. */
export interface CountedMap {
  readonly info: { readonly maxEntries: number };
  lookupBatch(
    count: number,
    cursor?: Uint8Array,
  ): { count: number; cursor?: Uint8Array | undefined } | undefined;
  entries(): Iterable<unknown>;
}

const BATCH = 1024;

/**
 * Counts the entries of hash tables, which the kernel does not tell: a bounded piece at a time, table after
 * table, so that a scrape costs the same however full they are.
 */
export class Census {
  readonly #maps: [name: string, map: CountedMap][];
  readonly #counts = new Map<string, number>();
  #at = 0;
  #cursor: Uint8Array | undefined;
  #sum = 0;

  constructor(maps: Iterable<[name: string, map: CountedMap]>) {
    this.#maps = [...maps];
  }

  /** Walks on over about so many entries, at most once around. */
  step(budget = 16 * BATCH): void {
    let left = budget;
    for (let tables = 0; left > 0 && tables < this.#maps.length; ) {
      const [name, map] = this.#maps[this.#at] as [string, CountedMap];
      const batch = map.lookupBatch(BATCH, this.#cursor);
      const count = batch ? batch.count : [...map.entries()].length;
      this.#sum += count;
      // An empty table costs a system call too.
      left -= count + 64;
      this.#cursor = batch?.cursor;
      if (this.#cursor) continue;
      this.#counts.set(name, this.#sum);
      this.#sum = 0;
      this.#at = (this.#at + 1) % this.#maps.length;
      tables++;
    }
  }

  /** Entries of the last whole walk; undefined: none yet. */
  get(name: string): number | undefined {
    return this.#counts.get(name);
  }
}
