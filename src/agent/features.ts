import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { isBpffs, mountBpffs } from '../native/index.js';
import { messageOf } from './errors.js';
import type { AgentOptions, PortRange } from './options.js';
import { checkSnatPorts, parsePortList } from './snat-ports.js';

/** The machine cannot run the agent; `problems` are sentences, each with its way out. */
export class StartError extends Error {
  override readonly name = 'StartError';
  constructor(readonly problems: string[]) {
    super(problems.join('\n'));
  }
}

export interface Machine {
  /** Where socket hooks go; undefined without a cgroup2 hierarchy, or when they are switched off. */
  cgroupPath: string | undefined;
  warnings: string[];
}

const CGROUP2_MAGIC = 0x63677270;
const BPFFS = '/sys/fs/bpf';
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;
const CAP_PERFMON = 38n;
const CAP_BPF = 39n;

/**
 * Looks at what the agent needs before it touches anything; mounts bpffs at /sys/fs/bpf when only that is
 * missing. @throws StartError with every problem found.
 */
export function checkMachine(options: AgentOptions): Machine {
  const warnings: string[] = [];
  const problems = [
    ...privilegeProblems(),
    ...kernelProblems(release(), existsSync('/sys/kernel/btf/vmlinux')),
  ];
  if (problems.length === 0) problems.push(...bpffsProblems(options.pinPath));
  const ports = checkSnatPorts(options.snatPortRange, readPortUse(options.nodePortRange));
  problems.push(...ports.errors);
  warnings.push(...ports.warnings);
  const cgroup = chooseCgroup(options);
  problems.push(...cgroup.problems);
  warnings.push(...cgroup.warnings);
  if (problems.length > 0) throw new StartError(problems);
  return { cgroupPath: cgroup.path, warnings };
}

function privilegeProblems(): string[] {
  const line = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'));
  const capabilities = BigInt(`0x${line?.[1] ?? '0'}`);
  const has = (bit: bigint) => ((capabilities >> bit) & 1n) === 1n;
  const bpf = has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON));
  if (bpf && has(CAP_NET_ADMIN)) return [];
  return [
    'start agent: not enough privilege (EPERM). run it as root, or with the capabilities BPF, PERFMON, NET_ADMIN and NET_RAW',
  ];
}

/** @param version as uname -r prints it. */
export function kernelProblems(version: string, hasBtf: boolean): string[] {
  const problems: string[] = [];
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number);
  if (!(major > 6 || (major === 6 && minor >= 1))) {
    problems.push(`start agent: Linux ${version} is too old (ENOSYS). boot a kernel of 6.1 or newer`);
  }
  if (!hasBtf) {
    problems.push(
      'start agent: /sys/kernel/btf/vmlinux is missing (ENOENT). boot a kernel built with CONFIG_DEBUG_INFO_BTF=y',
    );
  }
  return problems;
}

function bpffsProblems(pinPath: string): string[] {
  if (isBpffs(nearestDirectory(pinPath))) return [];
  const below = pinPath === BPFFS || pinPath.startsWith(`${BPFFS}/`);
  if (!below) {
    return [
      `use --pin-path ${pinPath}: it is not on a bpf file system (EINVAL). run 'mount -t bpf bpf ${dirname(pinPath)}', or choose a path below ${BPFFS}`,
    ];
  }
  try {
    mountBpffs(BPFFS);
  } catch (error) {
    return [
      `${messageOf(error)} mount a bpf file system on ${BPFFS} before the agent starts, for example as a host mount of its container`,
    ];
  }
  return [];
}

function nearestDirectory(path: string): string {
  let directory = path;
  while (!existsSync(directory) && directory !== '/') directory = dirname(directory);
  return directory;
}

function readPortUse(nodePorts: PortRange) {
  const read = (name: string) => readSysctl(`net/ipv4/${name}`) ?? '';
  const [min, max] = read('ip_local_port_range').split(/\s+/).map(Number);
  return {
    ephemeral: { min: min || 32_768, max: max || 60_999 },
    reserved: parsePortList(read('ip_local_reserved_ports')),
    nodePorts,
  };
}

/** Trimmed content of a file below /proc/sys, of this network namespace; undefined when there is none. */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

interface CgroupChoice {
  path: string | undefined;
  problems: string[];
  warnings: string[];
}

function chooseCgroup(options: AgentOptions): CgroupChoice {
  const none = { path: undefined, problems: [], warnings: [] };
  if (options.socketLb === 'off') return none;
  if (options.cgroupPath !== undefined) {
    if (existsSync(options.cgroupPath) && statfsSync(options.cgroupPath).type === CGROUP2_MAGIC) {
      return { ...none, path: options.cgroupPath };
    }
    return {
      ...none,
      problems: [
        `use --cgroup ${options.cgroupPath}: not a directory of a cgroup2 hierarchy (EINVAL). name one, see 'findmnt -t cgroup2', or leave the flag out`,
      ],
    };
  }
  const path = findCgroup2(readFileSync('/proc/self/mounts', 'utf8'));
  if (path !== undefined) return { ...none, path };
  return {
    ...none,
    warnings: [
      "attach socket hooks: no cgroup2 hierarchy is mounted. this node's own processes are served by tc only, and reach no Service through 127.0.0.1. mount it ('mount -t cgroup2 none /sys/fs/cgroup'), or pass --socket-lb=off",
    ],
  };
}

/** First cgroup2 mount point in the text of /proc/self/mounts. */
export function findCgroup2(mounts: string): string | undefined {
  for (const line of mounts.split('\n')) {
    const [, where, type] = line.split(' ');
    if (type === 'cgroup2' && where) return where.replaceAll('\\040', ' ').replaceAll('\\011', '\t');
  }
  return undefined;
}

/** Sentences about forwarding that is off; packets for a backend in a pod would end here. */
export function forwardingWarnings(hasIPv6: boolean): string[] {
  const warnings: string[] = [];
  if (readSysctl('net/ipv4/ip_forward') === '0') {
    warnings.push(
      "forward packets: net.ipv4.ip_forward is 0, so outside clients reach no backend in a pod of this node. run 'sysctl -w net.ipv4.ip_forward=1'",
    );
  }
  if (hasIPv6 && readSysctl('net/ipv6/conf/all/forwarding') === '0') {
    warnings.push(
      "forward packets: net.ipv6.conf.all.forwarding is 0, so outside clients reach no IPv6 backend in a pod of this node. run 'sysctl -w net.ipv6.conf.all.forwarding=1'",
    );
  }
  return warnings;
}
