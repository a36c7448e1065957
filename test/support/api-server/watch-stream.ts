import type { ServerResponse } from 'node:http';
import type { KubeObject, Resource } from './resources.js';
import type { Labels } from './selector.js';
import type { HistoryEntry } from './store.js';

export interface WatchStreamOptions {
  resource: Resource;
  response: ServerResponse;
  namespace?: string;
  matches: (labels: Labels) => boolean;
  bookmarks: boolean;
  /** Cut what is written into chunks of at most so many bytes; 0: whole lines. */
  chunkBytes: number;
}

/** One running watch: turns history into ADDED, MODIFIED and DELETED as this watcher's selector sees it. */
export class WatchStream {
  #muted = false;

  constructor(readonly options: WatchStreamOptions) {}

  /** Nothing more arrives, and the connection stays: what a dead peer looks like. */
  mute(): void {
    this.#muted = true;
  }

  entry({ before, after }: HistoryEntry): void {
    const was = before !== undefined && this.#covers(before);
    const is = after !== undefined && this.#covers(after);
    if (is && after !== undefined) this.#write({ type: was ? 'MODIFIED' : 'ADDED', object: after });
    else if (was && before !== undefined) {
      // An object that leaves the selector is deleted for this watcher, with the version of the change.
      const version = after?.metadata.resourceVersion ?? before.metadata.resourceVersion ?? '';
      this.#write({
        type: 'DELETED',
        object: { ...before, metadata: { ...before.metadata, resourceVersion: version } },
      });
    }
  }

  added(object: KubeObject): void {
    if (this.#covers(object)) this.#write({ type: 'ADDED', object });
  }

  bookmark(version: number): void {
    if (!this.options.bookmarks) return;
    const { kind, apiVersion } = this.options.resource;
    this.#write({
      type: 'BOOKMARK',
      object: { kind, apiVersion, metadata: { resourceVersion: String(version), creationTimestamp: null } },
    });
  }

  error(code: number, reason: string, message: string): void {
    this.#write({
      type: 'ERROR',
      object: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code, reason, message },
    });
  }

  /** Sends text as it is, for streams that are broken on purpose. */
  raw(text: string): void {
    this.options.response.write(text);
  }

  end(): void {
    this.options.response.end();
  }

  #covers(object: KubeObject): boolean {
    const { namespace, matches } = this.options;
    return (
      (namespace === undefined || object.metadata.namespace === namespace) &&
      matches(object.metadata.labels ?? {})
    );
  }

  #write(event: unknown): void {
    if (this.#muted) return;
    const line = Buffer.from(`${JSON.stringify(event)}\n`, 'utf8');
    const { chunkBytes, response } = this.options;
    if (chunkBytes <= 0) {
      response.write(line);
      return;
    }
    for (let at = 0; at < line.length; at += chunkBytes) response.write(line.subarray(at, at + chunkBytes));
  }
}
