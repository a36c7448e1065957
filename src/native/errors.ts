import { verifierSummary } from './verifier-log.js';

/** What native code reports about a failed call. */
export interface KernelFailure {
  errno: number;
  /** `'ENOENT'`, ... */
  code: string;
  syscall: string;
  verb: string;
  object: string;
  cause: string;
  log?: string;
  processed?: number;
}

/**
 * A call that the kernel or libbpf refused.
 *
 * The message reads `<verb> <object>: <cause> (<code>). <hint>`. Branch on `code`, never on the text.
 */
export class BpfError extends Error {
  override readonly name = 'BpfError';
  /** Name of the errno: `'ENOENT'`, `'E2BIG'`, `'EBADF'` for a closed handle, ... */
  readonly code: string;
  /** Positive errno. */
  readonly errno: number;
  /** The call that failed: `'bpf(BPF_MAP_UPDATE_ELEM)'`, `'mmap'`, ... */
  readonly syscall: string;
  /** What it was about: `'map lb_slots'`, `'pinned link /sys/fs/bpf/x'`, ... */
  declare readonly object?: string;
  /** What to do about it, where that is known. */
  declare readonly hint?: string;
  /** The verifier's complete log when a program was refused. */
  declare readonly log?: string;
  /** Elements done before a batch call failed. */
  declare readonly processed?: number;

  constructor(failure: KernelFailure) {
    const hint = hintFor(failure);
    const summary = failure.log ? `\n${verifierSummary(failure.log)}` : '';
    super(
      `${failure.verb} ${failure.object}: ${failure.cause} (${failure.code})${summary}${hint ? `${summary ? '\n' : '. '}${hint}` : ''}`,
    );
    this.code = failure.code;
    this.errno = failure.errno;
    this.syscall = failure.syscall;
    this.object = failure.object;
    if (hint) this.hint = hint;
    if (failure.log) this.log = failure.log;
    if (failure.processed !== undefined) this.processed = failure.processed;
  }
}

const CLOSED = 'Keep the handle open as long as it is used.';

type Hints = Record<string, string>;

/** By call (its beginning), then by code; `*` is any call. The first match wins. */
const HINTS: [call: string, hints: Hints][] = [
  ['close', { EBADF: CLOSED }],
  [
    'bpf(BPF_MAP_UPDATE',
    {
      E2BIG: 'The map is full (or the index is past its end): load it with a larger maxEntries.',
      EEXIST: 'The key is present and the flags ask for a new one.',
      ENOENT: 'The key is absent and the flags ask for an existing one.',
      EPERM: 'The map is frozen or read-only.',
    },
  ],
  [
    'bpf(BPF_OBJ_PIN)',
    {
      EEXIST: 'Something is pinned there: open it with openPinned, or remove that file.',
      EPERM: 'A pin needs a directory on a mounted bpffs, and a file name without dots.',
      EINVAL: 'A pin needs a directory on a mounted bpffs.',
      ENOENT: 'Make its directory first.',
    },
  ],
  [
    'bpf(BPF_OBJ_GET)',
    {
      ENOENT: 'Nothing is pinned there: check the path, and that its bpffs is mounted here.',
      EACCES: 'The path is on no bpffs, or its file may not be opened by this user.',
      EINVAL: 'Something else is pinned there: use the program that made it, or remove the pin.',
    },
  ],
  [
    'bpf(BPF_LINK_CREATE)',
    {
      ENODEV: 'No such device in this network namespace; it may have been deleted meanwhile.',
      EOPNOTSUPP: 'The driver has no native XDP: attach with mode "generic", or at tc.',
      EBUSY: 'Another program holds this hook: detach it first.',
      EEXIST: 'Another program holds this hook: detach it first.',
      EBADF: 'The directory is no cgroup v2 directory.',
      EINVAL:
        'Either the kernel lacks this kind of link (tcx needs Linux 6.6), the program is of another type, or the device does not exist.',
    },
  ],
  ['bpf(BPF_LINK_GET_FD_BY_ID)', { EPERM: 'Only CAP_SYS_ADMIN opens links by id.' }],
  ['bpf(BPF_LINK_UPDATE)', { ENOLINK: 'The device or cgroup is gone, and the attachment with it.' }],
  [
    'open',
    {
      ENOENT: 'No such cgroup: check that cgroup v2 is mounted and the path.',
      ENOTDIR: 'Give a cgroup v2 directory.',
    },
  ],
  ['bpf_object__open', { ENOENT: 'Check the path and names; build the object first if it is missing.' }],
  [
    'bpf_map__reuse_fd',
    { EINVAL: 'Load with the sizes of the pinned map, or pin the new layout elsewhere.' },
  ],
  [
    'bpf_tc_',
    { ENODEV: 'No such device in this network namespace.', EEXIST: 'A filter is there: use replaceClsact.' },
  ],
  [
    'mmap',
    {
      EINVAL: 'Only arrays made with BPF_F_MMAPABLE can be mapped.',
      EPERM: 'The map is frozen or read-only.',
    },
  ],
  [
    '*',
    {
      EPERM: 'This needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.',
      EMFILE: 'Raise the limit of open files (ulimit -n).',
      ENOMEM: 'The kernel has no memory for it: make the map smaller, or raise the cgroup memory limit.',
    },
  ],
];

function hintFor(failure: KernelFailure): string | undefined {
  if (failure.log) return 'The complete log is in the error\'s "log" property.';
  for (const [call, hints] of HINTS) {
    const hint = hints[failure.code];
    if (hint && (call === '*' || failure.syscall.startsWith(call))) return hint;
  }
  return undefined;
}
