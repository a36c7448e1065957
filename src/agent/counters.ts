/** Latest samples of a duration; percentiles are of those kept. */
export class Samples {
  readonly #values: Float64Array;
  #count = 0;

  constructor(capacity = 4096) {
    this.#values = new Float64Array(capacity);
  }

  add(value: number): void {
    this.#values[this.#count % this.#values.length] = value;
    this.#count++;
  }

  /** All samples ever added. */
  get count(): number {
    return this.#count;
  }

  /** @param p 0..1. Undefined without samples. */
  percentile(p: number): number | undefined {
    const kept = this.#values.slice(0, Math.min(this.#count, this.#values.length)).sort();
    if (kept.length === 0) return undefined;
    return kept[Math.min(kept.length - 1, Math.ceil(p * kept.length) - 1)] ?? kept[0];
  }
}

/** What the agent has done since it started; everything only grows. */
export interface Counters {
  /** Object changes received from the source. */
  events: number;
  /** Groups of changes that went through the model together. */
  batches: number;
  /** Service ports that the model computed anew. */
  servicesRecomputed: number;
  /** Map operations written. */
  opsApplied: number;
  /** Plans written, in whatever number of operations. */
  applies: number;
  applyErrors: number;
  /** Comparisons of everything wanted with everything in the maps: one at the start, one after an error. */
  fullResyncs: number;
  /** Changes of links, addresses, routes and neighbours that mattered. */
  hostEvents: number;
  /** Times the list of host facts had to be read anew because events were lost. */
  hostResyncs: number;
  attaches: number;
  attachErrors: number;
  /** Programs and pins that somebody else had removed, put back. */
  restored: number;
  fibGenerations: number;
  /** Expired flows removed. */
  flowsSwept: number;
}

export function newCounters(): Counters {
  return {
    events: 0,
    batches: 0,
    servicesRecomputed: 0,
    opsApplied: 0,
    applies: 0,
    applyErrors: 0,
    fullResyncs: 0,
    hostEvents: 0,
    hostResyncs: 0,
    attaches: 0,
    attachErrors: 0,
    restored: 0,
    fibGenerations: 0,
    flowsSwept: 0,
  };
}
