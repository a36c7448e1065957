/** One agent in one node. */
import { join } from 'node:path';
import { repositoryRoot } from './paths.js';
import { BoxProcess, type ExecResult, type Place, type SpawnOptions } from './process.js';

export interface AgentPlace extends Place {
  pinPath: string;
}

export interface AgentOptions extends SpawnOptions {
  /** Default: [<repository>/bin/shunt]. */
  command?: string[];
}

/** `--manifests d` stays as it is; what is missing is filled in, so that two agents never share pins or cgroups. */
export function agentArguments(place: AgentPlace, args: string[]): string[] {
  const given = (flag: string) => args.some((arg) => arg === flag || arg.startsWith(`${flag}=`));
  const defaults: [string, string][] = [
    ['--hostname-override', place.name],
    ['--pin-path', place.pinPath],
    ['--cgroup', place.cgroup],
  ];
  return ['agent', ...args, ...defaults.flatMap(([flag, value]) => (given(flag) ? [] : [flag, value]))];
}

/** A log line of the agent says that the data path has taken over: its message holds the word ready or serving. */
export function isReadyLine(line: string): boolean {
  let message = line;
  if (line.startsWith('{')) {
    try {
      message = String((JSON.parse(line) as { msg?: unknown }).msg ?? '');
    } catch {
      return false;
    }
  }
  return /\b(ready|serving)\b/i.test(message) && !/\bnot (yet )?(ready|serving)\b/i.test(message);
}

export class Agent {
  readonly process: BoxProcess;

  constructor(place: AgentPlace, args: string[], options: AgentOptions = {}) {
    const command = options.command ?? [join(repositoryRoot(), 'bin', 'shunt')];
    this.process = new BoxProcess(place, [...command, ...agentArguments(place, args)], options);
  }

  get pid(): number {
    return this.process.pid;
  }

  get running(): boolean {
    return this.process.running;
  }

  /** Everything that it has logged so far. */
  get log(): string {
    return this.process.stdout + this.process.stderr;
  }

  /** Rejects with the log when the agent ends or is not ready in time. */
  async waitReady(timeoutMs = 60_000): Promise<void> {
    await this.process.waitForLine(isReadyLine, timeoutMs);
  }

  waitForLog(pattern: RegExp, timeoutMs = 10_000): Promise<string> {
    return this.process.waitForLine(pattern, timeoutMs);
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<ExecResult> {
    return this.process.stop(signal);
  }
}
