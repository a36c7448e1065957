/** Processes inside the box: spawned in their cgroup and network namespace, output collected, never left over. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

/** How many times longer than usual to wait for what must come: for emulated machines (scripts/qemu-6.1.sh). */
export const PATIENCE = Number(process.env.SHUNT_BOX_PATIENCE ?? 1);

export interface ExecResult {
  /** Exit code; null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** The time limit ended it. */
  timedOut: boolean;
}

export class BoxCommandError extends Error {
  constructor(
    readonly argv: string[],
    readonly result: ExecResult,
  ) {
    const why = result.timedOut ? 'time limit' : (result.signal ?? `exit code ${result.code}`);
    const output = (result.stderr.trim() || result.stdout.trim()).slice(-2000);
    super(`run ${argv.join(' ').slice(0, 300)}: ${why}. ${output}`);
    this.name = 'BoxCommandError';
  }
}

/** Enters the cgroup first: a socket belongs to the cgroup its opener was in. */
const ENTER = 'echo $$ > "$1/cgroup.procs" || exit 125; ns=$2; shift 2; exec nsenter --net="$ns" -- "$@"';

export interface Place {
  /** Name of a node, pod, 'outside' or 'switch'. */
  name: string;
  /** Path of the network namespace: /run/netns/... */
  netns: string;
  /** Directory of its cgroup (version 2). */
  cgroup: string;
  /** The box's directory for files, removed with it. */
  directory: string;
}

export interface SpawnOptions {
  env?: Record<string, string>;
  /** Default: the repository's root. */
  cwd?: string;
  /** Written to stdin, which is then closed. */
  input?: string;
  /** stdin stays open for write(). */
  interactive?: boolean;
}

/** A running (or ended) process in the box. */
export class BoxProcess {
  readonly exited: Promise<ExecResult>;
  private readonly child: ChildProcess;
  private readonly listeners = new Set<() => void>();
  private output = { stdout: '', stderr: '' };
  private ended: ExecResult | undefined;

  constructor(
    readonly place: Place,
    readonly argv: string[],
    options: SpawnOptions = {},
  ) {
    // Its own process group: a Ctrl-C on the terminal ends the box's owner, who then ends the box in order.
    this.child = spawn('sh', ['-c', ENTER, 'sh', place.cgroup, place.netns, ...argv], {
      detached: true,
      stdio: [options.input === undefined && !options.interactive ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      this.child[stream]?.setEncoding('utf8').on('data', (text: string) => {
        this.output[stream] += text;
        this.notify();
      });
    }
    this.child.stdin?.on('error', () => {}); // it may end without reading everything
    if (!options.interactive) this.child.stdin?.end(options.input);
    this.exited = new Promise((resolve) => {
      const finish = (code: number | null, signal: NodeJS.Signals | null, stderr = '') => {
        this.ended ??= {
          code,
          signal,
          stdout: this.output.stdout,
          stderr: this.output.stderr + stderr,
          timedOut: false,
        };
        resolve(this.ended);
        this.notify();
      };
      this.child.on('error', (error) => finish(127, null, error.message));
      this.child.on('close', finish);
    });
  }

  /** 0 when it could not be started. Stays the same through sh and nsenter: both replace themselves. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  get running(): boolean {
    return this.ended === undefined;
  }

  get stdout(): string {
    return this.output.stdout;
  }

  get stderr(): string {
    return this.output.stderr;
  }

  /** To the stdin of an interactive process. */
  write(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Sends a signal to the process and those it started; nothing happens when it is gone. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (!this.running || this.pid === 0) return;
    try {
      process.kill(-this.pid, constants.signals[signal]);
    } catch {
      this.child.kill(signal); // not yet leader of its group
    }
  }

  /** Signal, then wait for the end; SIGKILL follows when it takes too long. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 5000): Promise<ExecResult> {
    this.kill(signal);
    const timer = setTimeout(() => this.kill('SIGKILL'), graceMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves with the first line of stdout or stderr that fits; rejects when the process ends or time is up. */
  waitForLine(pattern: RegExp | ((line: string) => boolean), timeoutMs = 10_000): Promise<string> {
    const fits = typeof pattern === 'function' ? pattern : (line: string) => pattern.test(line);
    return new Promise((resolve, reject) => {
      const give = (error: string) =>
        `wait for a line of ${this.argv.slice(0, 3).join(' ')} on ${this.place.name}: ${error}. ` +
        `Output: ${(this.stdout + this.stderr).slice(-3000)}`;
      const done = () => {
        clearTimeout(timer);
        this.listeners.delete(check);
      };
      const check = () => {
        const whole = (text: string) => text.split('\n').slice(0, this.running ? -1 : undefined);
        const line = [...whole(this.stdout), ...whole(this.stderr)].find(fits);
        if (line !== undefined) {
          done();
          resolve(line);
        } else if (!this.running) {
          done();
          reject(new Error(give(`it ended with ${this.ended?.signal ?? this.ended?.code}`)));
        }
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(give(`nothing within ${timeoutMs} ms`)));
      }, timeoutMs * PATIENCE);
      this.listeners.add(check);
      check();
    });
  }

  private notify(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

export interface ExecOptions extends SpawnOptions {
  /** Default 30,000. */
  timeoutMs?: number;
  /** Resolve also when the exit code is not 0. A time limit always rejects. */
  allowFailure?: boolean;
}

/** Runs to the end. Throws BoxCommandError. */
export async function finish(process: BoxProcess, options: ExecOptions): Promise<ExecResult> {
  let timedOut = false;
  const timer = setTimeout(
    () => {
      timedOut = true;
      process.kill('SIGKILL');
    },
    (options.timeoutMs ?? 30_000) * PATIENCE,
  );
  const ended = await process.exited;
  clearTimeout(timer);
  const result = { ...ended, timedOut };
  if (timedOut || (result.code !== 0 && !options.allowFailure)) {
    throw new BoxCommandError(process.argv, result);
  }
  return result;
}
