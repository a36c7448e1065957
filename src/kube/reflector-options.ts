import type { BackoffOptions } from './backoff.js';

export interface ReflectorTimings {
  /** Objects per page of a list. */
  pageSize: number;
  /** The server ends a watch after a time chosen between once and twice this, in seconds. */
  watchTimeoutS: number;
  /** A watch on which nothing arrives for so long is taken for dead, in milliseconds. Servers send bookmarks about once a minute. */
  idleMs: number;
  /** The same for the answer to a list. */
  listIdleMs: number;
  /** A watch that lived so long was a success: the back-off starts anew, in milliseconds. */
  stableMs: number;
  /** After so long, and at most twice that, an optional resource is asked for again, in milliseconds. */
  optionalRetryMs: number;
  backoff: BackoffOptions;
}

export const defaultTimings: ReflectorTimings = {
  pageSize: 500,
  watchTimeoutS: 300,
  idleMs: 120_000,
  listIdleMs: 30_000,
  stableMs: 5_000,
  optionalRetryMs: 600_000,
  backoff: { baseMs: 250, capMs: 30_000 },
};

export interface ReflectorStats {
  /** Completed lists, the first included. */
  lists: number;
  /** Requests for a page of a list. */
  pages: number;
  /** Lists after the first one. */
  relists: number;
  /** Watches that the server accepted. */
  watches: number;
  /** Watches accepted after an earlier one, without a list in between. */
  reconnects: number;
  /** ADDED, MODIFIED and DELETED events received. */
  events: number;
  bookmarks: number;
  /** 410 or Expired, on a list or a watch. */
  gone: number;
  /** Connections given up because nothing arrived. */
  silent: number;
  /** Watches whose connection broke. */
  dropped: number;
  /** Answers 403 and 404 for an optional resource. */
  unavailable: number;
  /** Failed lists and watches, `gone`, `silent`, `dropped` and `unavailable` not included. */
  errors: number;
  /** Objects rejected. */
  invalid: number;
  /** Changes handed on. */
  changes: number;
  /** Objects held now. */
  objects: number;
}

export function newReflectorStats(): ReflectorStats {
  return {
    lists: 0,
    pages: 0,
    relists: 0,
    watches: 0,
    reconnects: 0,
    events: 0,
    bookmarks: 0,
    gone: 0,
    silent: 0,
    dropped: 0,
    unavailable: 0,
    errors: 0,
    invalid: 0,
    changes: 0,
    objects: 0,
  };
}
