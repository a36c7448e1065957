import type { Warning } from '../model/objects.js';

export interface WarningGateOptions {
  /** The same trouble is told again after so long, in milliseconds. */
  repeatMs: number;
  /** ... and even after a recovery not sooner than this. */
  minimumMs: number;
  now?: () => number;
}

const MAX_KEYS = 10_000;

/** Lets the first warning of each kind through and holds back its repetitions while the trouble lasts. */
export class WarningGate {
  readonly #last = new Map<string, { atMs: number; recovered: boolean }>();
  readonly #now: () => number;

  constructor(
    readonly options: WarningGateOptions,
    readonly emit: (warning: Warning) => void,
  ) {
    this.#now = options.now ?? Date.now;
  }

  warn(key: string, warning: Warning): void {
    const now = this.#now();
    const last = this.#last.get(key);
    if (last !== undefined) {
      const wait = last.recovered ? this.options.minimumMs : this.options.repeatMs;
      if (now - last.atMs < wait) return;
    }
    // Beyond this many different troubles the oldest are forgotten, at worst to be told again.
    if (this.#last.size >= MAX_KEYS) this.#last.delete(this.#last.keys().next().value ?? '');
    this.#last.delete(key);
    this.#last.set(key, { atMs: now, recovered: false });
    this.emit(warning);
  }

  /** The trouble is over. Returns whether there was any that the operator has been told of. */
  recovered(matches: (key: string) => boolean): boolean {
    let any = false;
    for (const [key, entry] of this.#last) {
      if (entry.recovered || !matches(key)) continue;
      entry.recovered = true;
      any = true;
    }
    return any;
  }
}
