import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** Two namespaces of our own, joined by a veth pair, and a cgroup of our own. */
export interface Lab {
  netns: string;
  peerNetns: string;
  device: string;
  cgroup: string;
  remove(): void;
}

const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });

function cgroup2(): string {
  const mount = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === 'cgroup2')
    ?.split(' ')[1];
  if (!mount) throw new Error('no cgroup v2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified');
  return mount;
}

let labs = 0;

export function makeLab(): Lab {
  const id = `nt${process.pid}x${labs++}`;
  const here = `${id}a`;
  const there = `${id}b`;
  const cgroup = join(cgroup2(), id);
  ip('netns', 'add', here);
  ip('netns', 'add', there);
  ip('-n', here, 'link', 'add', 'va', 'type', 'veth', 'peer', 'name', 'vb', 'netns', there);
  for (const [netns, device, address] of [
    [here, 'va', '10.77.0.1/24'],
    [there, 'vb', '10.77.0.2/24'],
  ] as const) {
    ip('-n', netns, 'addr', 'add', address, 'dev', device);
    ip('-n', netns, 'link', 'set', device, 'up');
    ip('-n', netns, 'link', 'set', 'lo', 'up');
  }
  mkdirSync(cgroup);
  return {
    netns: `/run/netns/${here}`,
    peerNetns: `/run/netns/${there}`,
    device: 'va',
    cgroup,
    remove: () => {
      ip('netns', 'del', here);
      ip('netns', 'del', there);
      rmdirSync(cgroup);
    },
  };
}

/** Runs one compiled case inside the lab's namespace; rejects with its stderr. */
export function runCase(main: string, module: string, name: string, lab: Lab, extra: object): Promise<void> {
  const { netns, remove: _, ...context } = lab;
  const child = spawn(
    'nsenter',
    [`--net=${netns}`, process.execPath, main, module, name, JSON.stringify({ ...context, ...extra })],
    { stdio: ['ignore', 'inherit', 'pipe'] },
  );
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`case ended with ${signal ?? code}:\n${stderr}`)),
    );
  });
}
