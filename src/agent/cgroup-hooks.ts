import type { CgroupAttachName } from '../native/index.js';
import { codeOf, messageOf } from './errors.js';
import type { HookPort, LinkHandle, PinDirectory } from './hook-port.js';
import type { Logger, WarningLog } from './log.js';

/** Program and pin name by attach type. What restores names comes first, what translates last. */
export const SOCKET_HOOKS: readonly { program: string; attachType: CgroupAttachName }[] = [
  { program: 'sk_recvmsg4', attachType: 'recvmsg4' },
  { program: 'sk_recvmsg6', attachType: 'recvmsg6' },
  { program: 'sk_peername4', attachType: 'getpeername4' },
  { program: 'sk_peername6', attachType: 'getpeername6' },
  { program: 'sk_sendmsg4', attachType: 'sendmsg4' },
  { program: 'sk_sendmsg6', attachType: 'sendmsg6' },
  { program: 'sk_connect4', attachType: 'connect4' },
  { program: 'sk_connect6', attachType: 'connect6' },
];

export interface CgroupHooksOptions<Program> {
  hooks: HookPort<Program>;
  pins: PinDirectory;
  program: (name: string) => Program;
  log: Logger;
  warnings: WarningLog;
  /** Inode of a cgroup directory, which is its id in the kernel. */
  cgroupId: (path: string) => bigint;
}

/** Attaches the socket hooks to a cgroup, or updates the pinned links of an earlier agent in place. */
export function attachCgroupHooks<Program>(o: CgroupHooksOptions<Program>, cgroupPath: string): boolean {
  const id = o.cgroupId(cgroupPath);
  let complete = true;
  for (const { program, attachType } of SOCKET_HOOKS) {
    try {
      if (updatePinned(o, program, id)) continue;
      const link = o.hooks.attachCgroup({ cgroupPath, attachType, program: o.program(program) });
      try {
        link.pin(o.pins.path(program));
      } finally {
        link.close();
      }
    } catch (error) {
      complete = false;
      o.warnings.warn(
        { cgroup: cgroupPath, program, reason: messageOf(error) },
        "attach socket hook: failed. this node's own processes are served by tc where their packets pass it",
      );
    }
  }
  return complete;
}

function updatePinned<Program>(o: CgroupHooksOptions<Program>, program: string, id: bigint): boolean {
  if (!o.pins.list().includes(program)) return false;
  const link: LinkHandle<Program> = o.hooks.openPinned(o.pins.path(program));
  try {
    // Another --cgroup, or the directory was removed and made anew: this link serves nobody we want.
    if (link.info.cgroupId !== undefined && link.info.cgroupId !== id) {
      if (link.info.cgroupId !== 0n) link.detach();
      o.pins.remove(program);
      return false;
    }
    link.update(o.program(program));
    return true;
  } catch (error) {
    if (codeOf(error) !== 'ENOLINK') throw error;
    o.pins.remove(program);
    return false;
  } finally {
    link.close();
  }
}

/** Socket hooks that somebody has detached from the cgroup, or whose pin is gone, which comes to the same. */
export function lostCgroupHooks<Program>(o: CgroupHooksOptions<Program>, cgroupPath: string): string[] {
  const id = o.cgroupId(cgroupPath);
  const present = new Set(o.pins.list());
  return SOCKET_HOOKS.map(({ program }) => program).filter((program) => {
    if (!present.has(program)) return true;
    try {
      const link = o.hooks.openPinned(o.pins.path(program));
      try {
        return link.info.cgroupId !== undefined && link.info.cgroupId !== id;
      } finally {
        link.close();
      }
    } catch (error) {
      // Removed since the directory was read.
      if (codeOf(error) === 'ENOENT') return true;
      throw error;
    }
  });
}

/** For --socket-lb=off, and when the cgroup is gone. */
export function detachCgroupHooks<Program>(o: CgroupHooksOptions<Program>): void {
  const present = new Set(o.pins.list());
  // Translation ends before the restoring of names does.
  for (const { program } of [...SOCKET_HOOKS].reverse()) {
    if (!present.has(program)) continue;
    try {
      const link = o.hooks.openPinned(o.pins.path(program));
      try {
        link.detach();
      } finally {
        link.close();
      }
    } catch (error) {
      o.log.debug({ err: error, program }, 'detach socket hook');
    }
    o.pins.remove(program);
    o.log.info({ program }, 'socket hook detached');
  }
}
