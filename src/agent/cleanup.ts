import { existsSync, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatapathError } from '../datapath/handles.js';
import { lockPinPath } from '../datapath/lock.js';
import { isBpffs, Netlink, probeFeatures } from '../native/index.js';
import { messageOf } from './errors.js';
import { clsactPlace, type HookPort, OUR_TC_PROGRAMS } from './hook-port.js';
import { kernelHooks } from './kernel-ports.js';
import { linksDirectory } from './pins.js';

export interface CleanupPorts {
  hooks: HookPort<unknown>;
  /** Every device of this network namespace. */
  links: readonly { ifindex: number; name: string }[];
}

export interface CleanupReport {
  /** What was removed, in order, as text for people; empty when there was nothing. */
  removed: string[];
  /** What could not be removed, and why. */
  problems: string[];
}

/** What translates goes before what restores, so that nothing is left half-translated meanwhile. */
const LINK_ORDER = [
  'xdp',
  'tc_ingress',
  'sk_connect',
  'sk_sendmsg',
  'tc_egress',
  'sk_peername',
  'sk_recvmsg',
];

/** Pins of this version and of earlier ones, which may have had other maps. */
const PINS = /^((lb|ct|meta|stats|snat|sock|xdp)_[a-z0-9_]+|events|frags|rodata)$/;

/**
 * Removes every trace of Shunt below `pinPath` and from the devices of this network namespace. Does nothing
 * the second time. What is not Shunt's is left alone, and named where it keeps a directory from going.
 */
export function removeTraces(pinPath: string, ports: CleanupPorts): CleanupReport {
  const report: CleanupReport = { removed: [], problems: [] };
  const versions = existsSync(pinPath) ? readdirSync(pinPath).filter((name) => /^v\d+$/.test(name)) : [];
  for (const version of versions) removeLinks(linksDirectory(join(pinPath, version)), ports.hooks, report);
  for (const link of ports.links) removeFilters(link, ports.hooks, report);
  for (const version of versions) removePins(join(pinPath, version), report);
  if (existsSync(pinPath)) {
    // Fails when something else lives there, and then it should.
    attempt(report, () => readdirSync(pinPath).length === 0 && removeDirectory(pinPath, report));
  }
  return report;
}

function removeLinks(directory: string, hooks: HookPort<unknown>, report: CleanupReport): void {
  if (!existsSync(directory)) return;
  const rank = (name: string) => LINK_ORDER.findIndex((prefix) => name.startsWith(prefix));
  const names = readdirSync(directory).filter((name) => rank(name) >= 0);
  for (const name of names.sort((a, b) => rank(a) - rank(b))) {
    const path = join(directory, name);
    attempt(report, () => {
      const link = hooks.openPinned(path);
      try {
        // A link of a device or cgroup that is gone is detached already.
        if (link.info.ifindex || link.info.cgroupId) link.detach();
      } finally {
        link.close();
      }
    });
    attempt(report, () => {
      unlinkSync(path);
      report.removed.push(`link ${path}`);
    });
  }
}

function removeFilters(
  link: { ifindex: number; name: string },
  hooks: HookPort<unknown>,
  report: CleanupReport,
): void {
  for (const direction of ['ingress', 'egress'] as const) {
    attempt(report, () => {
      const place = clsactPlace(link.ifindex, direction);
      const program = hooks.findClsact(place);
      if (program === undefined || !OUR_TC_PROGRAMS.includes(program)) return;
      hooks.detachClsact(place);
      report.removed.push(`filter ${program} at ${direction} of ${link.name}`);
    });
  }
}

function removePins(directory: string, report: CleanupReport): void {
  attempt(report, () => removeDirectoryOf(linksDirectory(directory), report));
  for (const name of readdirSync(directory).filter((each) => PINS.test(each))) {
    const path = join(directory, name);
    attempt(report, () => {
      if (lstatSync(path).isDirectory()) return;
      unlinkSync(path);
      report.removed.push(`pin ${path}`);
    });
  }
  attempt(report, () => removeDirectoryOf(directory, report));
}

/** @throws Error that names what is in it and not ours. */
function removeDirectoryOf(directory: string, report: CleanupReport): void {
  if (!existsSync(directory)) return;
  const left = readdirSync(directory);
  if (left.length === 0) {
    removeDirectory(directory, report);
    return;
  }
  throw new Error(
    `remove ${directory}: ${left.slice(0, 3).join(', ')} in it is not Shunt's and was left alone (ENOTEMPTY). is --pin-path right? remove it by hand if it is`,
  );
}

function removeDirectory(directory: string, report: CleanupReport): void {
  rmdirSync(directory);
  report.removed.push(`directory ${directory}`);
}

function attempt(report: CleanupReport, action: () => void): void {
  try {
    action();
  } catch (error) {
    report.problems.push(messageOf(error));
  }
}

/**
 * `shunt cleanup`: removes every trace from this node.
 * @throws DatapathError EBUSY while an agent runs: it would put back what is removed. EINVAL for a path that no
 * agent can have pinned anything below, EACCES without the right to look.
 */
export async function cleanup(options: { pinPath: string }): Promise<CleanupReport> {
  checkPinPath(options.pinPath);
  const release = lockPinPath(options.pinPath);
  const netlink = new Netlink({ events: [] });
  try {
    const hooks = kernelHooks(probeFeatures().tcx) as HookPort<unknown>;
    return removeTraces(options.pinPath, { hooks, links: await netlink.dumpLinks() });
  } finally {
    netlink.close();
    release?.();
  }
}

function checkPinPath(pinPath: string): void {
  const fail = (code: string, cause: string): never => {
    throw new DatapathError(code, `clean up ${pinPath}: ${cause}`);
  };
  if (!pinPath.startsWith('/')) fail('EINVAL', "not an absolute path (EINVAL). Give the agent's --pin-path.");
  try {
    if (!lstatSync(pinPath, { throwIfNoEntry: false })) return;
    readdirSync(pinPath);
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    fail(
      code,
      code === 'ENOTDIR'
        ? `not a directory (${code}). Correct --pin-path.`
        : `not permitted (${code}). Run it as root.`,
    );
  }
  if (!isBpffs(pinPath))
    fail(
      'EINVAL',
      "not on a BPF file system, so no agent has pinned anything there (EINVAL). Give the agent's --pin-path.",
    );
}
