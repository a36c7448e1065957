import type { Change, Warning } from '../model/objects.js';

/** Where the model's input comes from. `start` once, `stop` once; nothing is delivered after `stop` resolved. */
export interface Source {
  start(sink: SourceSink): void;
  stop(): Promise<void>;
}

export interface SourceSink {
  /** Real changes only: a deletion of what was delivered before, or an object unlike its last version. */
  changes(changes: Change[]): void;
  /** Once, when everything there is has been delivered for the first time. */
  synced(): void;
  warning(warning: Warning): void;
}

/** The part of a logger that sources use; pino fits. */
export interface SourceLog {
  debug(message: string): void;
  info(message: string): void;
}

export const silentLog: SourceLog = { debug() {}, info() {} };
