export interface BackoffOptions {
  /** Delay after the first failure, in milliseconds; doubles with each further one. */
  baseMs: number;
  capMs: number;
  /** In [0, 1); injected by tests. */
  random?: () => number;
}

/**
 * Exponential back-off. The jitter (a factor between 0.5 and 1.5) keeps the agents of a large cluster from
 * coming back in step after the API server restarts; the cap holds after the jitter.
 */
export class Backoff {
  #failures = 0;
  readonly #random: () => number;

  constructor(readonly options: BackoffOptions) {
    this.#random = options.random ?? Math.random;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure and returns how long to wait, in milliseconds. */
  next(): number {
    const plain = Math.min(this.options.capMs, this.options.baseMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return Math.round(Math.min(this.options.capMs, plain * (0.5 + this.#random())));
  }

  reset(): void {
    this.#failures = 0;
  }
}
