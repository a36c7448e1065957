import { existsSync, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { lockPinPath } from '../datapath/lock.js';
import { Netlink, probeFeatures } from '../native/index.js';
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

/**
 * Removes every trace of Shunt below `pinPath` and from the devices of this network namespace. Does nothing
 * the second time. Directories that are not Shunt's are left alone.
 */
export function removeTraces(pinPath: string, ports: CleanupPorts): CleanupReport {
  const report: CleanupReport = { removed: [], problems: [] };
  const versions = existsSync(pinPath) ? readdirSync(pinPath).filter((name) => /^v\d+$/.test(name)) : [];
  for (const version of versions) removeLinks(linksDirectory(join(pinPath, version)), ports.hooks, report);
  for (const link of ports.links) removeFilters(link, ports.hooks, report);
  for (const version of versions) removeTree(join(pinPath, version), report);
  if (existsSync(pinPath)) {
    // Fails when something else lives there, and then it should.
    attempt(report, () => readdirSync(pinPath).length === 0 && removeDirectory(pinPath, report));
  }
  return report;
}

function removeLinks(directory: string, hooks: HookPort<unknown>, report: CleanupReport): void {
  if (!existsSync(directory)) return;
  const rank = (name: string) => LINK_ORDER.findIndex((prefix) => name.startsWith(prefix));
  for (const name of readdirSync(directory).sort((a, b) => rank(a) - rank(b))) {
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

function removeTree(directory: string, report: CleanupReport): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (lstatSync(path).isDirectory()) {
      removeTree(path, report);
      continue;
    }
    attempt(report, () => {
      unlinkSync(path);
      report.removed.push(`pin ${path}`);
    });
  }
  attempt(report, () => removeDirectory(directory, report));
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
 * @throws DatapathError EBUSY while an agent runs: it would put back what is removed.
 */
export async function cleanup(options: { pinPath: string }): Promise<CleanupReport> {
  const release = await lockPinPath(options.pinPath);
  const netlink = new Netlink({ events: [] });
  try {
    const hooks = kernelHooks(probeFeatures().tcx) as HookPort<unknown>;
    return removeTraces(options.pinPath, { hooks, links: await netlink.dumpLinks() });
  } finally {
    netlink.close();
    release();
  }
}
