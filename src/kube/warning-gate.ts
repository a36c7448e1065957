import type { Warning } from '../model/objects.js';

export interface WarningGateOptions {
  /** The same trouble is told again after so long, in milliseconds. */
  repeatMs: number;
  /** ... and even after a recovery not sooner than this. */
  minimumMs: number;
  now?: () => number;
}

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
      last.recovered = false;
      if (now - last.atMs < wait) return;
    }
    this.#last.set(key, { atMs: now, recovered: false });
    this.emit(warning);
  }

  /** The trouble is over. Returns whether there was any that had not been called over yet. */
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
