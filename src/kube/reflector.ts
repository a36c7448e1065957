import type { ApiClient } from './api-client.js';
import { Backoff } from './backoff.js';
import type { Conversion } from './convert.js';
import { HttpStatusError, ProtocolError, type RequestSubject, SilentConnectionError } from './errors.js';
import type { Problem } from './fields.js';
import { LineDecoder } from './line-decoder.js';
import { readList } from './list-pages.js';
import { ObjectCache } from './object-cache.js';
import { newReflectorStats, type ReflectorStats, type ReflectorTimings } from './reflector-options.js';
import { parseWatchEvent, toStatusError, type WatchEvent } from './watch-event.js';

export interface ReflectorOptions<T extends object> {
  client: ApiClient;
  /** /api/v1/services */
  path: string;
  kind: string;
  plural: string;
  apiGroup: string;
  labelSelector?: string;
  convert: (raw: unknown) => Conversion<T>;
  timings: ReflectorTimings;
  onChanges: (changes: { key: string; object: T | undefined }[]) => void;
  onProblem: (kind: string, key: string | undefined, problem: Problem) => void;
  /** After every successful list; the first one means that this resource is synced. */
  onListed: () => void;
  /**
   * Given for a resource that servers may lack or refuse (403, 404): hears of it instead of `onError`, every time.
   * What was listed before stays.
   */
  onUnavailable?: (error: HttpStatusError, subject: RequestSubject) => void;
  /** A request failed; it will be tried again. */
  onError: (error: unknown, subject: RequestSubject) => void;
  /** A request succeeded. */
  onHealthy: (subject: RequestSubject) => void;
}

/**
 * Follows one resource: list, then watch from there, for ever. A lost watch goes on from the last resourceVersion
 * seen (bookmarks included); only when the server has forgotten that version is the list read again. Keeps the
 * converted objects alone, and hands on differences between them.
 */
export class Reflector<T extends object> {
  readonly stats: ReflectorStats = newReflectorStats();
  readonly #cache = new ObjectCache<T>();
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #resourceVersion: string | undefined;
  #watchedSinceList = false;
  /** When the server accepted the current watch. */
  #watchStartedMs: number | undefined;

  constructor(readonly options: ReflectorOptions<T>) {
    this.#backoff = new Backoff(options.timings.backoff);
  }

  /** Runs until `stop`. Never rejects. */
  async run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#watchStartedMs = undefined;
      let failure: unknown;
      let verb: RequestSubject['verb'] = 'list';
      try {
        if (this.#resourceVersion === undefined) await this.#list();
        verb = 'watch';
        await this.#watch();
      } catch (error) {
        failure = error;
      }
      if (this.#stop.signal.aborted) return;
      this.#account(failure, verb);
      const stable =
        this.#watchStartedMs !== undefined &&
        performance.now() - this.#watchStartedMs >= this.options.timings.stableMs;
      if (stable) this.#backoff.reset();
      // The regular end of a long watch, and a version forgotten meanwhile, are no reason to wait.
      if (stable && (failure === undefined || isGone(failure))) continue;
      if (this.#isUnavailable(failure)) {
        await this.#sleep(this.options.timings.optionalRetryMs * (1 + Math.random()));
        continue;
      }
      const waitMs = this.#backoff.next();
      const wanted = failure instanceof HttpStatusError ? (failure.retryAfterMs ?? 0) : 0;
      await this.#sleep(Math.max(waitMs, Math.min(wanted, 2 * this.options.timings.backoff.capMs)));
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  #account(failure: unknown, verb: RequestSubject['verb']): void {
    if (failure === undefined) return;
    if (isGone(failure)) {
      this.stats.gone += 1;
      this.#resourceVersion = undefined;
      return;
    }
    if (this.#isUnavailable(failure)) {
      this.stats.unavailable += 1;
      this.options.onUnavailable?.(failure, this.#subject(verb));
      return;
    }
    if (failure instanceof SilentConnectionError && this.#watchStartedMs !== undefined) {
      // Quiet resources on servers without bookmarks come here too: resuming costs next to nothing.
      this.stats.silent += 1;
      return;
    }
    const accepted = verb === 'watch' && this.#watchStartedMs !== undefined;
    if (accepted && !(failure instanceof HttpStatusError) && !(failure instanceof ProtocolError)) {
      // Load balancers and restarts cut streams every day. It is trouble only if the next attempt fails.
      this.stats.dropped += 1;
      return;
    }
    if (failure instanceof SilentConnectionError) this.stats.silent += 1;
    else this.stats.errors += 1;
    this.options.onError(failure, this.#subject(verb));
  }

  #isUnavailable(failure: unknown): failure is HttpStatusError {
    if (this.options.onUnavailable === undefined || !(failure instanceof HttpStatusError)) return false;
    return failure.status === 403 || failure.status === 404;
  }

  async #list(): Promise<void> {
    const { client, timings, convert } = this.options;
    const next = new Map<string, T>();
    const resourceVersion = await readList({
      pageSize: timings.pageSize,
      fetchPage: (query) => {
        this.stats.pages += 1;
        return client.getJson({
          path: this.#path(query),
          signal: this.#stop.signal,
          idleMs: timings.listIdleMs,
        });
      },
      restart: () => next.clear(),
      onItem: (item) => {
        const conversion = convert(item);
        this.#report(conversion);
        const object = conversion.ok ? conversion.object : this.#cache.get(conversion.key);
        if (conversion.key !== undefined && object !== undefined) next.set(conversion.key, object);
      },
    });
    this.#stop.signal.throwIfAborted();
    this.#resourceVersion = resourceVersion;
    this.#watchedSinceList = false;
    if (this.stats.lists > 0) this.stats.relists += 1;
    this.stats.lists += 1;
    this.options.onHealthy(this.#subject('list'));
    this.#deliver(this.#cache.replace(next));
    this.options.onListed();
  }

  async #watch(): Promise<void> {
    const { client, timings } = this.options;
    const query = new URLSearchParams({
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#resourceVersion ?? '',
      timeoutSeconds: String(Math.ceil(timings.watchTimeoutS * (1 + Math.random()))),
    });
    const stream = await client.get({
      path: this.#path(query),
      signal: this.#stop.signal,
      idleMs: timings.idleMs,
    });
    this.#watchStartedMs = performance.now();
    this.stats.watches += 1;
    if (this.#watchedSinceList) this.stats.reconnects += 1;
    this.#watchedSinceList = true;
    this.options.onHealthy(this.#subject('watch'));
    const decoder = new LineDecoder();
    for await (const chunk of stream) {
      const changes: { key: string; object: T | undefined }[] = [];
      try {
        for (const line of decoder.push(chunk as Uint8Array)) this.#handle(parseWatchEvent(line), changes);
      } finally {
        // What came before an ERROR in the same chunk counts.
        this.#deliver(changes);
      }
      if (this.#stop.signal.aborted) return;
    }
  }

  #handle(event: WatchEvent, changes: { key: string; object: T | undefined }[]): void {
    if (event.type === 'ERROR') throw toStatusError(event);
    const version = event.object?.metadata?.resourceVersion;
    if (event.type === 'BOOKMARK') this.stats.bookmarks += 1;
    else if (event.type === 'ADDED' || event.type === 'MODIFIED' || event.type === 'DELETED') {
      this.stats.events += 1;
      const change = this.#apply(event.type === 'DELETED', event.object);
      if (change !== undefined) changes.push(change);
    } else throw new ProtocolError(`unknown watch event ${JSON.stringify(event.type)}`);
    if (typeof version === 'string' && version !== '') this.#resourceVersion = version;
  }

  #apply(deleted: boolean, raw: unknown): { key: string; object: T | undefined } | undefined {
    const conversion = this.options.convert(raw);
    const { key } = conversion;
    if (deleted) return key !== undefined && this.#cache.delete(key) ? { key, object: undefined } : undefined;
    this.#report(conversion);
    if (!conversion.ok) return undefined;
    return this.#cache.set(conversion.key, conversion.object)
      ? { key: conversion.key, object: conversion.object }
      : undefined;
  }

  #report(conversion: Conversion<T>): void {
    if (!conversion.ok) this.stats.invalid += 1;
    for (const problem of conversion.problems) {
      this.options.onProblem(this.options.kind, conversion.key, problem);
    }
  }

  #deliver(changes: { key: string; object: T | undefined }[]): void {
    this.stats.objects = this.#cache.size;
    if (changes.length === 0 || this.#stop.signal.aborted) return;
    this.stats.changes += changes.length;
    this.options.onChanges(changes);
  }

  #path(query: URLSearchParams): string {
    const { path, labelSelector } = this.options;
    if (labelSelector !== undefined) query.set('labelSelector', labelSelector);
    const text = query.toString();
    return text === '' ? path : `${path}?${text}`;
  }

  #subject(verb: RequestSubject['verb']): RequestSubject {
    const { client, plural, apiGroup } = this.options;
    return { server: client.server, verb, resource: plural, apiGroup };
  }

  #sleep(ms: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }
}

function isGone(error: unknown): boolean {
  return error instanceof HttpStatusError && error.isGone;
}
