/** Finds the machine's cgroup2 hierarchy. */
import { readFileSync } from 'node:fs';

/** Where cgroup2 is mounted, the first one listed; undefined when nowhere. */
export function findCgroup2(mounts: string = readFileSync('/proc/self/mounts', 'utf8')): string | undefined {
  for (const line of mounts.split('\n')) {
    const [, where, type] = line.split(' ');
    if (type === 'cgroup2' && where) return where.replace(/\\040/g, ' ');
  }
  return undefined;
}
