import { addon, type LinkKernelInfo, type NativeLink } from './addon.js';
import { type CgroupAttachName, CgroupAttachType, nameOf } from './constants.js';
import { checkChoice, checkInteger, checkOptions } from './options.js';
import type { BpfProgram } from './program.js';

export type Direction = 'ingress' | 'egress';

export interface TcxOptions {
  /** In the network namespace of the calling process. */
  ifindex: number;
  direction: Direction;
  program: BpfProgram;
  /** Among the programs at this hook, default 'last'. */
  position?: 'first' | 'last' | { before: BpfLink } | { after: BpfLink };
}

export interface XdpOptions {
  ifindex: number;
  program: BpfProgram;
  /** `native`: in the driver; `generic`: by the stack, on any device. */
  mode: 'native' | 'generic';
}

export interface CgroupOptions {
  /** A cgroup v2 directory; the program runs for it and everything below. */
  cgroupPath: string;
  attachType: CgroupAttachName;
  program: BpfProgram;
}

/** `ifindex` is 0 when the device is gone, `cgroupId` 0 likewise: the link is then an empty shell. */
export interface LinkInfo extends LinkKernelInfo {
  /** For tcx: `ingress` or `egress`; for cgroups: the hook's name. */
  hook?: string;
}

const TCX_INGRESS = 46;
const TCX_EGRESS = 47;

/**
 * One attachment. It lives as long as this handle or a pin of it: closing an unpinned link detaches its program.
 * Devices are those of the calling process' network namespace.
 */
export class BpfLink implements Disposable {
  /** Not for direct use: links come from `attach*` and {@link openPinned} or {@link openById}. */
  constructor(readonly handle: NativeLink) {}

  /** Linux 6.6+. Codes: `ENODEV` no such device, `EINVAL` no tcx in this kernel or a program of another type. */
  static attachTcx(options: TcxOptions): BpfLink {
    const call = 'BpfLink.attachTcx';
    checkOptions(call, options, ['ifindex', 'direction', 'program', 'position']);
    const { position = 'last' } = options;
    const anchored = typeof position === 'object';
    if (!anchored) checkChoice(call, 'position', position, ['first', 'last']);
    const after = anchored ? 'after' in position : position === 'last';
    const anchor = anchored ? ('after' in position ? position.after : position.before) : undefined;
    return new BpfLink(
      addon().attachTcx(
        checkInteger(call, 'ifindex', options.ifindex, 1),
        checkChoice(call, 'direction', options.direction, ['ingress', 'egress']) === 'egress',
        options.program.handle,
        after,
        anchor?.handle,
      ),
    );
  }

  /** Codes: `EOPNOTSUPP` the driver has no native XDP, `EBUSY`/`EEXIST` another program holds the device. */
  static attachXdp(options: XdpOptions): BpfLink {
    const call = 'BpfLink.attachXdp';
    checkOptions(call, options, ['ifindex', 'program', 'mode']);
    const generic = checkChoice(call, 'mode', options.mode, ['native', 'generic']) === 'generic';
    const ifindex = checkInteger(call, 'ifindex', options.ifindex, 1);
    return new BpfLink(addon().attachXdp(ifindex, generic, options.program.handle));
  }

  /** Codes: `ENOENT` no such directory, `EBADF` no cgroup v2, `EINVAL` a program for another hook. */
  static attachCgroup(options: CgroupOptions): BpfLink {
    const call = 'BpfLink.attachCgroup';
    checkOptions(call, options, ['cgroupPath', 'attachType', 'program']);
    const name = checkChoice(
      call,
      'attachType',
      options.attachType,
      Object.keys(CgroupAttachType) as CgroupAttachName[],
    );
    return new BpfLink(
      addon().attachCgroup(options.cgroupPath, CgroupAttachType[name], name, options.program.handle),
    );
  }

  /** `ENOENT` when nothing is pinned there, `EINVAL` when it is no link. */
  static openPinned(path: string): BpfLink {
    return new BpfLink(addon().openPinnedLink(path));
  }

  /**
   * Needs CAP_SYS_ADMIN (`EPERM`). `ENOENT`: no such link, or it is going: its last holder has let it go, though for
   * a while it still hangs at its hook.
   */
  static openById(id: number): BpfLink {
    return new BpfLink(addon().openLinkById(checkInteger('BpfLink.openById', 'id', id, 1)));
  }

  /** Read from the kernel at each access. */
  get info(): LinkInfo {
    const info = this.handle.info;
    if (info.attachType === undefined) return info;
    if (info.attachType === TCX_INGRESS) return { ...info, hook: 'ingress' };
    if (info.attachType === TCX_EGRESS) return { ...info, hook: 'egress' };
    return { ...info, hook: nameOf(CgroupAttachType, info.attachType) };
  }

  get fd(): number {
    return this.handle.fd;
  }

  get closed(): boolean {
    return this.handle.closed;
  }

  /**
   * Puts another program in place of the attached one; no packet sees neither or both. With `expected` only while
   * that one is attached (`EPERM` otherwise). `ENOLINK` when the device or cgroup is gone.
   */
  update(program: BpfProgram, expected?: BpfProgram): void {
    this.handle.update(program.handle, expected?.handle);
  }

  /** Detaches now, whoever else holds the link. Quiet when the device is already gone. */
  detach(): void {
    this.handle.detach();
  }

  /** Keeps the attachment alive under a path on bpffs. File names there must not contain dots. */
  pin(path: string): void {
    this.handle.pin(path);
  }

  /** Closes the descriptor; detaches unless the link is pinned. Idempotent. */
  close(): void {
    this.handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
