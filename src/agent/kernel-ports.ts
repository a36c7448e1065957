import { readdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  BpfLink,
  type BpfProgram,
  detachClsact,
  findClsact,
  isBpffs,
  Netlink,
  queryTcx,
  replaceClsact,
} from '../native/index.js';
import type { HookPort, PinDirectory } from './hook-port.js';
import type { NetlinkPort } from './host.js';

/** The kernel's hooks. @param tcx as probeFeatures() found it. */
export function kernelHooks(tcx: boolean): HookPort<BpfProgram> {
  return {
    tcx,
    openPinned: (path) => BpfLink.openPinned(path),
    attachTcx: (options) => BpfLink.attachTcx(options),
    findTcx: ({ ifindex, direction, program }) => {
      const progId = program.info.id;
      const found = queryTcx(ifindex, direction).find((entry) => entry.progId === progId);
      return found && found.linkId !== 0 ? BpfLink.openById(found.linkId) : undefined;
    },
    attachXdp: (options) => BpfLink.attachXdp(options),
    attachCgroup: (options) => BpfLink.attachCgroup(options),
    findClsact: (place) => findClsact(place)?.name,
    setClsact: (place, program) => void replaceClsact({ ...place, program }),
    detachClsact: (place) => void detachClsact(place),
  };
}

/** rtnetlink of this network namespace; listens from now on. */
export function kernelNetlink(): NetlinkPort {
  const netlink = new Netlink();
  return {
    dumpLinks: () => netlink.dumpLinks(),
    dumpAddresses: () => netlink.dumpAddresses(),
    dumpRoutes: () => netlink.dumpRoutes(),
    dumpNeighbours: () => netlink.dumpNeighbours(),
    onLink: (callback) => void netlink.on('link', callback),
    onAddress: (callback) => void netlink.on('address', callback),
    onRoute: (callback) => void netlink.on('route', callback),
    onNeighbour: (callback) => void netlink.on('neighbour', callback),
    onOverflow: (callback) => void netlink.on('overflow', callback),
    close: () => netlink.close(),
  };
}

/** @throws Error when the directory is on no bpffs: a pin there would fail in a less obvious way. */
export function bpffsPins(directory: string): PinDirectory {
  if (!isBpffs(directory)) throw new Error(`pin links in ${directory}: not on a bpf file system (EINVAL)`);
  return {
    list: () => {
      try {
        return readdirSync(directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        return [];
      }
    },
    path: (name) => join(directory, name),
    remove: (name) => {
      try {
        unlinkSync(join(directory, name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    },
  };
}

/** Id of a cgroup in the kernel: the inode of its directory. */
export function cgroupIdOf(path: string): bigint {
  return statSync(path, { bigint: true }).ino;
}
