import { addon, type ClsactFilter } from './addon.js';
import type { Direction } from './link.js';
import { checkChoice, checkInteger, checkOptions } from './options.js';
import type { BpfProgram } from './program.js';

// tc filters for kernels before tcx. A filter belongs to its device and outlives the process; it is found again by
// handle and priority, and recognised by its program's tag.

export interface ClsactPlace {
  ifindex: number;
  direction: Direction;
  handle: number;
  /** 1-65535, lower runs first. */
  priority: number;
}

export interface ClsactAttachment extends ClsactPlace {
  program: BpfProgram;
}

const PLACE_KEYS = ['ifindex', 'direction', 'handle', 'priority'];

function place(call: string, where: ClsactPlace, extra: string[]): [number, boolean, number, number] {
  checkOptions(call, where, [...PLACE_KEYS, ...extra]);
  return [
    checkInteger(call, 'ifindex', where.ifindex, 1),
    checkChoice(call, 'direction', where.direction, ['ingress', 'egress']) === 'egress',
    checkInteger(call, 'handle', where.handle, 1),
    checkInteger(call, 'priority', where.priority, 1, 65535),
  ];
}

/** Adds a filter in direct-action mode, and the clsact qdisc where it is missing. `EEXIST` when the place is taken. */
export function attachClsact(options: ClsactAttachment): ClsactFilter {
  return addon().attachClsact(...place('attachClsact', options, ['program']), options.program.handle, false);
}

/** Puts the program into the filter at this place in one step, or adds the filter. */
export function replaceClsact(options: ClsactAttachment): ClsactFilter {
  return addon().attachClsact(...place('replaceClsact', options, ['program']), options.program.handle, true);
}

/** The filter at this place; with `tag` only if its program is that one. */
export function findClsact(options: ClsactPlace & { tag?: string }): ClsactFilter | undefined {
  const found = addon().findClsact(...place('findClsact', options, ['tag']));
  return found && options.tag !== undefined && found.tag !== options.tag ? undefined : found;
}

/** Removes the filter at this place, with `tag` only if its program is that one; whether there was one. */
export function detachClsact(options: ClsactPlace & { tag?: string }): boolean {
  const where = place('detachClsact', options, ['tag']);
  if (options.tag !== undefined && !findClsact(options)) return false;
  return addon().detachClsact(...where);
}
