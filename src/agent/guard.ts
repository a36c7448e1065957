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
  /** From a round that found something to the next one; twice as long each time after that, up to `everyMs`. */
  settleMs?: number;
}

const EVERY_MS = 5000;
const SETTLE_MS = 100;

/**
 * Looks from time to time whether what the agent has attached and pinned is still there, puts back what somebody
 * has taken away, and says so: without it nobody would notice before traffic fails, or the next start. Who takes
 * away may not be done yet, and the kernel may not have let go: a round that found something is soon followed by
 * another, until one finds everything in place.
 */
export class Guard {
  readonly #o: GuardOptions;
  #timer: NodeJS.Timeout | undefined;
  #next: NodeJS.Timeout | undefined;
  #waitMs: number;
  /** What the last round did not find in place. */
  #found = '';
  /** What each part of a round failed with, as it was said. */
  readonly #said = new Map<string, string>();
  /** Not there in the round before. */
  #suspects = new Set<string>();
  /** Could not be attached at once: whoever attaches says why and tries again, here it is said when it succeeded. */
  #awaited: LostProgram[] = [];

  constructor(options: GuardOptions) {
    this.#o = options;
    this.#waitMs = this.#settleMs;
  }

  get #everyMs(): number {
    return this.#o.everyMs ?? EVERY_MS;
  }

  get #settleMs(): number {
    return this.#o.settleMs ?? SETTLE_MS;
  }

  start(): void {
    this.#timer = setInterval(() => this.check(), this.#everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#next);
  }

  /** One round, and more of them for as long as they find something: sooner when it is not the same as before. */
  check(): void {
    clearTimeout(this.#next);
    // Links need the directories of the pins, so these come first.
    const found = [
      ...this.#part('pins', () => this.#pins()),
      ...this.#part('socket hooks', () => this.#socketHooks()),
      ...this.#part('programs', () => this.#programs()),
    ].join();
    if (found !== this.#found) this.#waitMs = this.#settleMs;
    this.#found = found;
    if (found === '') return;
    this.#next = setTimeout(() => this.check(), this.#waitMs);
    this.#waitMs = Math.min(this.#everyMs, this.#waitMs * 2);
  }

  /** A part that fails keeps no other from its work. */
  #part(name: string, look: () => readonly string[]): readonly string[] {
    try {
      const found = look();
      this.#said.delete(name);
      return found;
    } catch (error) {
      const message = messageOf(error);
      // Once per trouble, not once per round.
      if (message !== this.#said.get(name)) this.#o.log.error(`look after ${name}: ${message}`);
      this.#said.set(name, message);
      return [name];
    }
  }

  #pins(): readonly string[] {
    const pins = this.#o.restorePins();
    this.#restored('map', pins, 'keep maps pinned: pins were gone and are there again');
    return pins;
  }

  #socketHooks(): readonly string[] {
    const lost = this.#o.lostSocketHooks();
    if (lost.length === 0) return lost;
    this.#o.attachSocketHooks();
    const left = new Set(this.#o.lostSocketHooks());
    const hooks = lost.filter((hook) => !left.has(hook));
    this.#restored('hook', hooks, 'keep socket hooks attached: they were gone and are attached again');
    return lost;
  }

  #programs(): readonly string[] {
    const { lostPrograms, attachPrograms, stateOf } = this.#o;
    const lost = lostPrograms();
    // A device that goes takes its links along: its event is given a round to arrive.
    const certain = lost.filter((program) => this.#suspects.has(nameOf(program)));
    this.#suspects = new Set(lost.map(nameOf));
    if (certain.length > 0) attachPrograms(certain);
    const tried = [...this.#awaited, ...certain];
    this.#awaited = tried.filter((program) => stateOf(program) === 'missing');
    const names = tried.filter((program) => stateOf(program) === 'attached').map(nameOf);
    this.#restored('program', names, 'keep programs attached: they were gone and are attached again');
    return [...lost, ...this.#awaited].map(nameOf);
  }

  #restored(what: string, names: readonly string[], message: string): void {
    if (names.length === 0) return;
    this.#o.counters.restored += names.length;
    this.#o.log.warn(
      { [what]: names },
      `${message}. look for who removes them; 'shunt cleanup' is for when no agent runs`,
    );
  }
}

function nameOf({ device, hook }: LostProgram): string {
  return `${hook}@${device}`;
}
