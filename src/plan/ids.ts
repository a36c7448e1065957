/**
 * Numbers 1..max handed out round robin: an id that was given back is the last to be given out
 * again, so that what still remembers it (flows, affinities, readers) has the longest time to forget.
 */
export class IdPool {
  readonly #words: Uint32Array;
  readonly #max: number;
  #used = 0;
  #next = 1;

  constructor(max: number) {
    this.#max = Math.max(max, 0);
    this.#words = new Uint32Array((this.#max >> 5) + 1);
  }

  get max(): number {
    return this.#max;
  }

  /** Ids that are out, those waiting for their grace period included. */
  get used(): number {
    return this.#used;
  }

  has(id: number): boolean {
    return (((this.#words[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1;
  }

  /** The next free id, undefined when all are out. */
  take(): number | undefined {
    if (this.#used >= this.#max) return undefined;
    let id = this.#next;
    for (;;) {
      if (id > this.#max) id = 1;
      // A full word is stepped over whole: with a nearly full table a walk by ids would be long.
      if ((id & 31) === 0 && this.#words[id >> 5] === 0xffffffff) id += 32;
      else if (this.has(id)) id++;
      else break;
    }
    this.mark(id);
    this.#next = id === this.#max ? 1 : id + 1;
    return id;
  }

  /** Marks an id that is already out there (after a restart). */
  mark(id: number): boolean {
    if (id < 1 || id > this.#max || this.has(id)) return false;
    this.#words[id >> 5] = (this.#words[id >> 5] as number) | (1 << (id & 31));
    this.#used++;
    return true;
  }

  giveBack(id: number): void {
    if (!this.has(id)) throw new Error(`free id ${id}: it is not in use (EINVAL).`);
    this.#words[id >> 5] = (this.#words[id >> 5] as number) & ~(1 << (id & 31));
    this.#used--;
  }

  /** The search for the next id begins behind this one. */
  continueAfter(id: number): void {
    this.#next = id >= this.#max || id < 0 ? 1 : id + 1;
  }
}
