/** A contiguous piece of lb_slots. */
export interface Extent {
  base: number;
  count: number;
}

const CLASSES = 64 + 27 * 8;

/**
 * Hands out contiguous slots. Free pieces are kept by size class (exact up to 63 slots, eight classes
 * per power of two above) and grow together when neighbours are freed; a request takes the best
 * fitting class first, so small holes are used up before large pieces are cut.
 * Cost per call depends on the number of classes, not of runs.
 */
export class RunAllocator {
  /** Free pieces: base -> count. */
  readonly #free = new Map<number, number>();
  /** End of a free piece (exclusive) -> its base. */
  readonly #byEnd = new Map<number, number>();
  readonly #bins: Set<number>[] = Array.from({ length: CLASSES }, () => new Set());
  #used = 0;

  /** @param taken runs already out, ascending, apart from each other and within 1..size-1. */
  constructor(
    readonly size: number,
    taken: Iterable<Extent> = [],
  ) {
    let at = 1; // slot 0 stays unused: a zero word is never somebody's run
    for (const run of taken) {
      if (run.base > at) this.#insert(at, run.base - at);
      at = run.base + run.count;
      this.#used += run.count;
    }
    if (size > at) this.#insert(at, size - at);
  }

  /** Slots that are out. */
  get used(): number {
    return this.#used;
  }

  /** Base of a run of `count` slots, undefined when no piece is large enough. */
  take(count: number): number | undefined {
    const base = this.#find(count);
    if (base === undefined) return undefined;
    const length = this.#free.get(base) as number;
    this.#remove(base, length);
    if (length > count) this.#insert(base + count, length - count);
    this.#used += count;
    return base;
  }

  giveBack({ base, count }: Extent): void {
    this.#used -= count;
    let from = base;
    let to = base + count;
    const before = this.#byEnd.get(from);
    if (before !== undefined) {
      this.#remove(before, from - before);
      from = before;
    }
    const after = this.#free.get(to);
    if (after !== undefined) {
      this.#remove(to, after);
      to += after;
    }
    this.#insert(from, to - from);
  }

  #find(count: number): number | undefined {
    const wanted = classOf(count);
    // Within a coarse class some pieces are too short; a few are tried before a larger class is cut.
    let tries = 16;
    for (const base of this.#bins[wanted] ?? []) {
      if ((this.#free.get(base) as number) >= count) return base;
      if (--tries === 0) break;
    }
    for (let c = wanted + 1; c < CLASSES; c++) {
      for (const base of this.#bins[c] as Set<number>) return base;
    }
    for (const base of this.#bins[wanted] ?? []) if ((this.#free.get(base) as number) >= count) return base;
    return undefined;
  }

  #insert(base: number, count: number): void {
    this.#free.set(base, count);
    this.#byEnd.set(base + count, base);
    this.#bins[classOf(count)]?.add(base);
  }

  #remove(base: number, count: number): void {
    this.#free.delete(base);
    this.#byEnd.delete(base + count);
    this.#bins[classOf(count)]?.delete(base);
  }
}

function classOf(count: number): number {
  if (count < 64) return count;
  const log = 31 - Math.clz32(count);
  return 64 + (log - 6) * 8 + ((count >> (log - 3)) & 7);
}
