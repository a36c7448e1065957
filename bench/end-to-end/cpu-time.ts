/** CPU time of what runs in a place of the box. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from '../../box/index.js';

/**
 * Microseconds, user and kernel, of all processes that the place's cgroup ever had. Includes what the kernel does for
 * their packets right after they sent them; not what it puts off to ksoftirqd.
 */
export function cpuMicroseconds(place: Place): number {
  const path = join(place.cgroup, 'cpu.stat');
  const found = /^usage_usec (\d+)$/m.exec(readFileSync(path, 'utf8'));
  if (!found) throw new Error(`read ${path}: no usage_usec (EPROTO). The kernel accounts no CPU time there.`);
  return Number(found[1]);
}
