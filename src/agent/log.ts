import { LRUCache } from 'lru-cache';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { LogLevel } from './options.js';

export type { Logger } from 'pino';

/** JSON lines on stdout, written before the call returns: a line must survive the exit that follows it. */
export function createLogger(level: LogLevel, stream?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream ?? destination({ dest: 1, sync: true }),
  );
}

const REPEAT_AFTER_MS = 10 * 60_000;
const BURST = 50;
const PER_SECOND = 5;
/** Beyond this many distinct warnings the oldest is forgotten and may be said again. */
const REMEMBERED = 10_000;

/**
 * Warnings about objects: the same one is said again only after ten minutes, and a flood of different ones
 * (a thousand Services with the same mistake) is cut, with the number of those left out.
 */
export class WarningLog {
  readonly #said = new LRUCache<string, number>({ max: REMEMBERED });
  #tokens = BURST;
  #refilledMs: number;
  #suppressed = 0;

  constructor(
    private readonly log: Logger,
    private readonly nowMs: () => number = Date.now,
  ) {
    this.#refilledMs = nowMs();
  }

  /** Warnings not written since the last one that was. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /**
   * @param fields go into the line and, with the message, make it the same or another warning.
   * @returns whether it was written.
   */
  warn(fields: Record<string, unknown>, message: string): boolean {
    const now = this.nowMs();
    const key = `${message}\0${JSON.stringify(fields)}`;
    const last = this.#said.get(key);
    if (last !== undefined && now - last < REPEAT_AFTER_MS) return false;
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#refilledMs) / 1000) * PER_SECOND);
    this.#refilledMs = now;
    if (this.#tokens < 1) {
      this.#suppressed++;
      return false;
    }
    this.#tokens--;
    this.#said.set(key, now);
    const left = this.#suppressed > 0 ? { suppressed: this.#suppressed } : {};
    this.#suppressed = 0;
    this.log.warn({ ...fields, ...left }, message);
    return true;
  }
}
