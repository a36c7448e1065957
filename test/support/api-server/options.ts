export interface TestApiServerOptions {
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Serve https with a certificate of our own; further names and addresses to put into it. */
  tls?: boolean | { names?: string[]; expired?: boolean };
  /** Requests need this bearer token. */
  token?: string;
  /** Wait so long before each answer, in milliseconds. */
  latencyMs?: number;
  /** Cut watch output into chunks of at most so many bytes; 0: whole lines. */
  chunkBytes?: number;
  /** Send bookmarks so often, in milliseconds; 0: only on demand. */
  bookmarkIntervalMs?: number;
  /** Entries of history kept per resource. */
  historyLimit?: number;
  firstVersion?: number;
}

/** What went over the wire, for assertions. */
export interface RequestRecord {
  method: string;
  path: string;
  query: URLSearchParams;
  watch: boolean;
  /** Status of the answer; 0 while there is none. */
  status: number;
}
