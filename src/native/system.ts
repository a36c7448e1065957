import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { addon } from './addon.js';

/** What the running kernel can do, found by trying. All false but `btf` without privileges (`permitted` false). */
export interface Features {
  /** Release of the kernel, and its first two numbers. */
  kernel: string;
  kernelVersion: [major: number, minor: number];
  libbpf: string;
  /** BPF calls are allowed to this process. */
  permitted: boolean;
  /** A trivial program loads. */
  programs: boolean;
  /** The kernel carries its own types (/sys/kernel/btf/vmlinux). */
  btf: boolean;
  tcx: boolean;
  xdpLink: boolean;
  cgroupLink: boolean;
  ringbuf: boolean;
  lruHash: boolean;
  lpmTrie: boolean;
  devmapHash: boolean;
  /** Batch calls on hash maps. */
  batch: boolean;
  /** Arrays can be mapped into memory. */
  mmapArray: boolean;
  testRunTc: boolean;
  testRunXdp: boolean;
  /** MEMBARRIER_CMD_GLOBAL; {@link membarrier} works without it too. */
  membarrier: boolean;
  netnsCookie: boolean;
}

/** Tries everything once; a few milliseconds, leaves nothing behind. */
export function probeFeatures(): Features {
  const { libbpf, ...tried } = addon().probeFeatures();
  const kernel = release();
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10) || 0);
  return {
    kernel,
    kernelVersion: [major, minor],
    libbpf,
    btf: existsSync('/sys/kernel/btf/vmlinux'),
    // Nothing tells a missing device from a missing feature here (both EINVAL): by version, 5.9.
    xdpLink: tried.programs === true && (major > 5 || (major === 5 && minor >= 9)),
    ...(tried as unknown as Omit<Features, 'kernel' | 'kernelVersion' | 'libbpf' | 'btf' | 'xdpLink'>),
  };
}

/** Whether programs of this type may call this helper (`enum bpf_func_id`). */
export function probeHelper(programType: number, helper: number): boolean {
  return addon().probeHelper(programType, helper);
}

/**
 * Resolves when every program that was running at the call has ended, on all CPUs (an RCU grace period, 10-20 ms, on
 * the thread pool): whatever was unreachable before the call is then in nobody's hands. By
 * `MEMBARRIER_CMD_GLOBAL`, or where that is refused (nohz_full) by updating a map of maps, which waits likewise.
 */
export async function membarrier(): Promise<void> {
  await addon().membarrier();
}

/** `SO_NETNS_COOKIE` of the calling process' network namespace, as programs see it. */
export function netnsCookie(): bigint {
  return addon().netnsCookie();
}

/** CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns()`. */
export function monotonicNs(): bigint {
  return addon().monotonicNs();
}

/** Mounts a bpffs at an existing directory, mode 0700. */
export function mountBpffs(path: string): void {
  addon().mountBpffs(path);
}

/** Whether a path lies on a bpffs. */
export function isBpffs(path: string): boolean {
  return addon().isBpffs(path);
}

/**
 * `flock()`, exclusive, without waiting: whether this open file, or directory, has the lock now. Held until the
 * descriptor is closed, or the process ends, however it does.
 */
export function lockFile(fd: number): boolean {
  return addon().lockFile(fd);
}

/** Maps, programs, links, ring buffers and netlink sockets that this thread has open; for tests of leaks. */
export function openHandles(): number {
  return addon().openHandles();
}
