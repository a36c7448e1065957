import type { DeviceClass } from './devices.js';
import { clsactPlace, type HookPort } from './hook-port.js';
import type { PinnedLinks } from './pinned-links.js';
import type { DeviceHook } from './pins.js';

/** What hangs at one hook of a device. */
export interface Attached {
  hook: DeviceHook;
  /** Name in the pin directory; undefined for a clsact filter. */
  pin: string | undefined;
  /** Name of the program of this load that was put there; undefined: still that of an earlier agent. */
  program: string | undefined;
}

export interface AttachedDevice {
  ifindex: number;
  name: string;
  class: DeviceClass;
  hooks: { hook: DeviceHook; program: string; how: 'tcx' | 'clsact' | 'xdp' }[];
}

/** A program that somebody has detached, or whose pin is gone, which comes to the same. */
export interface LostProgram {
  ifindex: number;
  device: string;
  hook: DeviceHook;
}

/** Whether the kernel has it where it was put. */
export function isStillThere<Program>(
  { hook, pin, program }: Attached,
  ifindex: number,
  kernel: { hooks: HookPort<Program>; links: PinnedLinks<Program> },
): boolean {
  if (pin !== undefined) return kernel.links.holds(pin, ifindex);
  const direction = hook === 'tc_ingress' ? 'ingress' : 'egress';
  return kernel.hooks.findClsact(clsactPlace(ifindex, direction)) === program;
}
