import type { Facts } from './facts.js';
import { type Finding, finding, ok } from './finding.js';

export function checkMounts({ bpffs, cgroup, intent }: Facts): Finding[] {
  return [checkBpffs(bpffs, intent.pinPath), ...checkCgroup(cgroup, intent.socketLb)];
}

function checkBpffs(bpffs: Facts['bpffs'], pinPath: string): Finding {
  if (bpffs.pinPathOnIt) return ok('bpffs', `${pinPath} lies on a bpf file system`);
  if (bpffs.mounted) {
    return finding(
      'fail',
      'bpffs',
      `${pinPath} is not on a bpf file system, /sys/fs/bpf is`,
      'the agent does not start',
      'use a --pin-path below /sys/fs/bpf',
    );
  }
  return finding(
    'warn',
    'bpffs',
    'no bpf file system is mounted at /sys/fs/bpf',
    'a privileged agent mounts one; without the right to mount it does not start, and in a container pins die with it',
    "run 'mount -t bpf bpf /sys/fs/bpf' on the host, and hand it into the container",
  );
}

function checkCgroup({ path, isCgroup2, isRoot }: Facts['cgroup'], socketLb: string): Finding[] {
  if (socketLb === 'off') return [ok('cgroup', 'not needed with --socket-lb=off')];
  if (path === undefined || !isCgroup2) {
    return [
      finding(
        path === undefined ? 'warn' : 'fail',
        'cgroup',
        path === undefined ? 'no cgroup2 hierarchy is mounted' : `${path} is no cgroup2 directory`,
        "no socket hooks: this node's own processes are served by tc, where their packets pass it",
        "mount one: 'mount -t cgroup2 none /sys/fs/cgroup/unified', or name its root with --cgroup",
      ),
    ];
  }
  if (!isRoot) {
    return [
      finding(
        'warn',
        'cgroup',
        `${path} is not the root of its hierarchy`,
        'the socket hooks serve only processes below it',
        "name the host's root with --cgroup; in a container, hand it in as a host mount (deploy/base does)",
      ),
    ];
  }
  return [ok('cgroup', `cgroup2 root at ${path}`)];
}
