/**
 * What a box has taken from the machine, written down before it is taken, so that anybody can give it back:
 * close(), the exit of the owner, or the next box when the owner was killed. Synchronous: it runs in exit handlers.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { RUN_DIRECTORY } from './paths.js';

export interface BoxState {
  id: string;
  ownerPid: number;
  /** Start time of the owner in clock ticks since boot: a pid alone may have been given to another process. */
  ownerStart: string;
  /** Names under /run/netns. */
  namespaces: string[];
  /** /run/shunt-box/<id>: mounts and files. */
  directory: string;
  mounts: string[];
  /** One of the mounts; its pins are removed one by one, in case another mount namespace has a copy of it. */
  bpffs: string;
  /** Top of the box's own cgroup tree. */
  cgroup: string;
}

/** Field 22 of /proc/<pid>/stat; undefined when there is no such process (a zombie counts as none). */
export function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function stateFile(id: string): string {
  return join(RUN_DIRECTORY, `${id}.json`);
}

export function writeState(state: BoxState): void {
  mkdirSync(RUN_DIRECTORY, { recursive: true });
  const file = stateFile(state.id);
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file);
}

function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function cgroupTree(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const children = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...children.flatMap((entry) => cgroupTree(join(directory, entry.name))), directory];
}

/** Ends every process in a cgroup tree of the box: all of the box's, and only they, are in there. */
export function killProcesses(cgroup: string): void {
  const deadline = Date.now() + 3000;
  for (;;) {
    const pids = cgroupTree(cgroup).flatMap((directory) => {
      try {
        return readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
      } catch {
        return [];
      }
    });
    if (pids.length === 0 || Date.now() > deadline) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {} // it ended meanwhile
    }
    sleepMs(2);
  }
}

export function removeCgroups(cgroup: string): void {
  const deadline = Date.now() + 1000;
  for (const directory of cgroupTree(cgroup)) {
    for (;;) {
      try {
        rmdirSync(directory);
        break;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'ENOENT') break;
        if (code !== 'EBUSY' || Date.now() > deadline) throw error;
        sleepMs(2);
      }
    }
  }
}

/** Gives everything back; what is gone already is passed over. Throws after trying all of it. */
export function tearDown(state: BoxState): void {
  const problems: string[] = [];
  const attempt = (action: () => void) => {
    try {
      action();
    } catch (error) {
      problems.push((error as Error).message);
    }
  };
  const command = (program: string, argv: string[], input = '') => {
    const done = spawnSync(program, argv, { input, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`${program}: ${done.error?.message ?? done.stderr.trim()}`);
  };
  attempt(() => killProcesses(state.cgroup));
  const names = state.namespaces.filter((name) => existsSync(`/run/netns/${name}`));
  if (names.length > 0) {
    const lines = names.map((name) => `netns del ${name}\n`).join('');
    attempt(() => command('ip', ['-force', '-batch', '-'], lines));
  }
  attempt(() => removeCgroups(state.cgroup));
  const mounted = readFileSync('/proc/self/mounts', 'utf8');
  if (mounted.includes(` ${state.bpffs} `)) {
    attempt(() => {
      for (const entry of readdirSync(state.bpffs, { withFileTypes: true })) {
        // The kernel's own files (maps.debug) cannot be removed, and go with the mount.
        if (entry.isDirectory()) rmSync(join(state.bpffs, entry.name), { recursive: true });
      }
    });
  }
  // Last mounted first. Lazily: a reader of a map may still look into it.
  for (const mount of [...state.mounts].reverse()) {
    if (mounted.includes(` ${mount} `)) attempt(() => command('umount', ['-l', mount]));
  }
  if (problems.length > 0) {
    // The state file stays: the next box tries again.
    throw new Error(
      `remove box ${state.id}: ${problems.join('; ')}. Run it again, or see ${stateFile(state.id)}.`,
    );
  }
  rmSync(state.directory, { recursive: true, force: true });
  rmSync(stateFile(state.id), { force: true });
}

/** Removes boxes whose owner is dead; returns their ids. A box that cannot be removed is left for the next time. */
export function reapStale(): string[] {
  if (!existsSync(RUN_DIRECTORY)) return [];
  const reaped: string[] = [];
  for (const name of readdirSync(RUN_DIRECTORY)) {
    if (!name.endsWith('.json')) continue;
    try {
      const state = JSON.parse(readFileSync(join(RUN_DIRECTORY, name), 'utf8')) as BoxState;
      if (startTime(state.ownerPid) === state.ownerStart) continue;
      tearDown(state);
      reaped.push(state.id);
    } catch {} // another process reaps it at this moment, or it needs a person; createBox() must go on
  }
  return reaped;
}
