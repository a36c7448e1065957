import { existsSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  BpfLink,
  type BpfProgram,
  detachClsact,
  findClsact,
  isBpffs,
  LinkType,
  Netlink,
  replaceClsact,
} from '../native/index.js';
import { codeOf } from './errors.js';
import type { HookPort, PinDirectory } from './hook-port.js';
import type { NetlinkPort } from './host.js';

/** The kernel's hooks. @param tcx as probeFeatures() found it. */
export function kernelHooks(tcx: boolean): HookPort<BpfProgram> {
  return {
    tcx,
    openPinned: (path) => BpfLink.openPinned(path),
    attachTcx: (options) =>
      attachOrFind(() => BpfLink.attachTcx(options), {
        ...options,
        taken: 'EEXIST',
        type: LinkType.TCX,
        hook: options.direction,
      }),
    attachXdp: (options) =>
      attachOrFind(() => BpfLink.attachXdp(options), {
        ...options,
        taken: 'EBUSY',
        type: LinkType.XDP,
        hook: undefined,
      }),
    attachCgroup: (options) => BpfLink.attachCgroup(options),
    findClsact: (place) => findClsact(place)?.name,
    setClsact: (place, program) => void replaceClsact({ ...place, program }),
    detachClsact: (place) => void detachClsact(place),
  };
}

/**
 * A hook takes a program once. When it is taken by this very program, its link has lost its pin and somebody else
 * holds it open: that link is returned, so that pinning it keeps what is there without a gap.
 * @throws what `attach` throws when there is no such link; one that is going is refused for a moment yet.
 */
function attachOrFind(
  attach: () => BpfLink,
  o: { taken: string; type: number; hook: string | undefined; ifindex: number; program: BpfProgram },
): BpfLink {
  try {
    return attach();
  } catch (error) {
    if (codeOf(error) !== o.taken) throw error;
    const progId = o.program.info.id;
    const there = BpfLink.find(
      (info) =>
        info.type === o.type && info.progId === progId && info.ifindex === o.ifindex && info.hook === o.hook,
    );
    if (there) return there;
    throw error;
  }
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
    list: () => (existsSync(directory) ? readdirSync(directory) : []),
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
