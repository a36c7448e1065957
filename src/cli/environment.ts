import type { AgentOptions } from '../agent/options.js';
import type { MapsReader } from './reader.js';

export interface CleanupOptions {
  pinPath: string;
  /** undefined: found in /proc/self/mounts. */
  cgroupPath: string | undefined;
}

export interface CleanupReport {
  removed: string[];
  problems: string[];
}

/** Everything a command touches, so that tests give it something else. */
export interface CliEnvironment {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
  env: Readonly<Record<string, string | undefined>>;
  hostname(): string;
  openReader(pinPath: string): MapsReader | Promise<MapsReader>;
  /** Runs until told to stop; resolves to the exit code. */
  runAgent(options: AgentOptions): Promise<number>;
  cleanup(options: CleanupOptions): CleanupReport | Promise<CleanupReport>;
}
