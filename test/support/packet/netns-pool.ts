import { type ChildProcess, fork } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PoolOptions, PoolRunnerInitializer, PoolWorker } from 'vitest/node';

/**
 * vitest's pool of forked processes, each in network and mount namespaces of its own with a BPF file
 * system of its own: test files may use the same device names and pin paths at the same time, nothing
 * reaches the machine's interfaces, and what a crash leaves behind goes with the process.
 */
export function netnsPool(): PoolRunnerInitializer {
  return { name: 'netns-forks', createPoolWorker: (options) => new NetnsWorker(options) };
}

class NetnsWorker implements PoolWorker {
  readonly name = 'netns-forks';
  readonly cacheFs = true;
  readonly #options: PoolOptions;
  #child: ChildProcess | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    if (this.#child) return;
    const { distPath, env, execArgv, project } = this.#options;
    const child = fork(resolve(distPath, 'workers/forks.js'), [], {
      env: {
        ...env,
        SHUNT_TEST_NODE: process.execPath,
        SHUNT_TEST_OUTER_NETNS: readlinkSync('/proc/self/ns/net'),
      },
      execArgv,
      execPath: fileURLToPath(new URL('isolated-node.sh', import.meta.url)),
      stdio: 'pipe',
      serialization: 'advanced',
    });
    child.stdout?.pipe(project.vitest.logger.outputStream, { end: false });
    child.stderr?.pipe(project.vitest.logger.errorStream, { end: false });
    this.#child = child;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((done) => child.once('exit', () => done()));
    const impatient = setTimeout(() => child.kill('SIGKILL'), 500);
    child.kill();
    await exited;
    clearTimeout(impatient);
  }

  on(event: string, callback: (arg: unknown) => void): void {
    this.#running.on(event, callback);
  }

  off(event: string, callback: (arg: unknown) => void): void {
    this.#child?.off(event, callback);
  }

  send(message: Parameters<PoolWorker['send']>[0]): void {
    this.#running.send(message);
  }

  deserialize(data: unknown): unknown {
    return data;
  }

  get #running(): ChildProcess {
    if (!this.#child) throw new Error('run tests: the worker process was not started or is gone.');
    return this.#child;
  }
}
