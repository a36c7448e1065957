import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Descriptors of this process that concern BPF or netlink. */
export function kernelFds(): string[] {
  const out: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (/bpf|eventpoll/.test(target)) out.push(target);
    } catch {
      // the directory's own descriptor
    }
  }
  return out.sort();
}

/** Mappings of BPF maps in this process. */
export function mappedMaps(): number {
  const maps = readFileSync('/proc/self/maps', 'utf8');
  return maps.split('\n').filter((line) => line.includes('bpf-map')).length;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until `done` holds, at most `ms`. */
export async function until(done: () => boolean, ms = 5_000): Promise<void> {
  const end = Date.now() + ms;
  while (!done()) {
    if (Date.now() > end) throw new Error(`not reached within ${ms} ms: ${done}`);
    await sleep(5);
  }
}
