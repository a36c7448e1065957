import type { AgentOptions } from '../agent/options.js';
import type { Report } from '../doctor/index.js';
import type { Machine, ShuntControl } from '../takeover/index.js';
import type { DoctorOptions } from './doctor.js';
import type { LiveState } from './reader.js';

export interface CleanupOptions {
  pinPath: string;
}

export interface CleanupReport {
  /** What was removed, as text for people. */
  removed: string[];
  /** What could not be removed, and why. */
  problems: string[];
}

export interface TakeoverParts {
  machine: Machine;
  control: ShuntControl;
}

/** Everything a command touches, so that tests give it something else. */
export interface CliEnvironment {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
  env: Readonly<Record<string, string | undefined>>;
  hostname(): string;
  openLive(pinPath: string): LiveState | Promise<LiveState>;
  /** Runs until told to stop; resolves to the exit code. */
  runAgent(options: AgentOptions): Promise<number>;
  cleanUp(options: CleanupOptions): CleanupReport | Promise<CleanupReport>;
  examine(options: DoctorOptions): Promise<Report>;
  /** kube-proxy's traces on this machine, and the maps that are pinned there. */
  openTakeover(pinPath: string): TakeoverParts | Promise<TakeoverParts>;
}
