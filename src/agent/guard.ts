import type { LostProgram } from './attached.js';
import type { Counters } from './counters.js';
import { messageOf } from './errors.js';
import type { Logger } from './log.js';

export interface GuardOptions {
  /** Maps that are pinned no longer are pinned again; their names. */
  restorePins: () => string[];
  /** Names of socket hooks that are attached no longer. */
  lostSocketHooks: () => string[];
  attachSocketHooks: () => void;
  lostPrograms: () => LostProgram[];
  attachPrograms: (lost: readonly LostProgram[]) => void;
  stateOf: (program: LostProgram) => 'attached' | 'missing' | 'gone';
  counters: Pick<Counters, 'restored'>;
  log: Logger;
  everyMs?: number;
  /** A device that goes takes its links along: its event is given so long to arrive. */
  settleMs?: number;
}

const EVERY_MS = 5000;
const SETTLE_MS = 100;

/**
 * Looks from time to time whether what the agent has attached and pinned is still there, puts back what somebody
 * has taken away, and says so: without it nobody would notice before traffic fails, or the next start.
 */
export class Guard {
  readonly #o: GuardOptions;
  #timer: NodeJS.Timeout | undefined;
  #second: NodeJS.Timeout | undefined;
  #said = '';
  /** Could not be attached at once: whoever attaches says why and tries again, here it is said when it succeeded. */
  #awaited: LostProgram[] = [];

  constructor(options: GuardOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.check(), this.#o.everyMs ?? EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#second);
  }

  /** One round; links need the directories of the pins, so these come first. */
  check(): void {
    this.#try(() => {
      this.#restore('map', this.#o.restorePins(), 'keep maps pinned: pins were gone and are there again');
      const hooks = this.#o.lostSocketHooks();
      if (hooks.length > 0) this.#o.attachSocketHooks();
      this.#restore('hook', hooks, 'keep socket hooks attached: they were gone and are attached again');
      if (this.#awaited.length === 0 && this.#o.lostPrograms().length === 0) return;
      clearTimeout(this.#second);
      this.#second = setTimeout(() => this.#try(() => this.#attach()), this.#o.settleMs ?? SETTLE_MS);
    });
  }

  #attach(): void {
    const { lostPrograms, attachPrograms, stateOf } = this.#o;
    const lost = lostPrograms();
    if (lost.length > 0) attachPrograms(lost);
    const tried = [...this.#awaited, ...lost];
    this.#awaited = tried.filter((program) => stateOf(program) === 'missing');
    const attached = tried.filter((program) => stateOf(program) === 'attached');
    const names = attached.map(({ device, hook }) => `${hook}@${device}`);
    this.#restore('program', names, 'keep programs attached: they were gone and are attached again');
  }

  #restore(what: string, names: readonly string[], message: string): void {
    if (names.length === 0) return;
    this.#o.counters.restored += names.length;
    this.#o.log.warn(
      { [what]: names },
      `${message}. look for who removes them; 'shunt cleanup' is for when no agent runs`,
    );
  }

  #try(action: () => void): void {
    try {
      action();
      this.#said = '';
    } catch (error) {
      const message = `look after pins and hooks: ${messageOf(error)}`;
      // Once per trouble, not once per round.
      if (message !== this.#said) this.#o.log.error(message);
      this.#said = message;
    }
  }
}
