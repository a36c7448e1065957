// Numbers of the kernel's user interface (linux/bpf.h) that callers of this library meet.

/** `enum bpf_map_type`. */
export const MapType = {
  HASH: 1,
  ARRAY: 2,
  PROG_ARRAY: 3,
  PERF_EVENT_ARRAY: 4,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  STACK_TRACE: 7,
  CGROUP_ARRAY: 8,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  LPM_TRIE: 11,
  ARRAY_OF_MAPS: 12,
  HASH_OF_MAPS: 13,
  DEVMAP: 14,
  SOCKMAP: 15,
  CPUMAP: 16,
  XSKMAP: 17,
  SOCKHASH: 18,
  QUEUE: 22,
  STACK: 23,
  SK_STORAGE: 24,
  DEVMAP_HASH: 25,
  RINGBUF: 27,
} as const;

/** `enum bpf_prog_type`, the networking part. */
export const ProgramType = {
  SOCKET_FILTER: 1,
  SCHED_CLS: 3,
  XDP: 6,
  CGROUP_SKB: 8,
  CGROUP_SOCK: 9,
  SOCK_OPS: 13,
  CGROUP_SOCK_ADDR: 18,
} as const;

/** `enum bpf_link_type`, those that {@link BpfLink} makes. */
export const LinkType = { CGROUP: 3, XDP: 6, TCX: 11 } as const;

/** Flags of `BpfMap.update`. */
export const UpdateFlag = { ANY: 0, NOEXIST: 1, EXIST: 2, LOCK: 4 } as const;

/** Flags of a map's creation. */
export const MapFlag = { NO_PREALLOC: 1, NO_COMMON_LRU: 2, MMAPABLE: 1 << 10 } as const;

/** `BPF_F_TEST_XDP_LIVE_FRAMES`: `testRun` sends the frames on as the driver would. */
export const TEST_XDP_LIVE_FRAMES = 1 << 1;

/** `enum bpf_attach_type` of the cgroup hooks, by the name used in section names (`cgroup/connect4`). */
export const CgroupAttachType = {
  ingress: 0,
  egress: 1,
  sock_create: 2,
  sockops: 3,
  device: 6,
  bind4: 8,
  bind6: 9,
  connect4: 10,
  connect6: 11,
  post_bind4: 12,
  post_bind6: 13,
  sendmsg4: 14,
  sendmsg6: 15,
  sysctl: 18,
  recvmsg4: 19,
  recvmsg6: 20,
  getsockopt: 21,
  setsockopt: 22,
  getpeername4: 29,
  getpeername6: 30,
  getsockname4: 31,
  getsockname6: 32,
  sock_release: 34,
} as const;
export type CgroupAttachName = keyof typeof CgroupAttachType;

/** Names of a number in one of the tables above; the number itself when it is in none. */
export function nameOf(table: Record<string, number>, value: number): string {
  return Object.keys(table).find((name) => table[name] === value) ?? String(value);
}
