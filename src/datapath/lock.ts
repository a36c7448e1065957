import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { lockFile } from '../native/index.js';
import { DatapathError } from './handles.js';

/**
 * One updater per pin path: holds flock() on its directory, which the kernel frees with the process, however
 * that ends. It is the directory that is locked, not its name: another spelling, network namespace or
 * container comes to the same one.
 * @returns what gives the lock up; undefined when there is no such directory.
 * @throws DatapathError EBUSY while another process holds it.
 */
export function lockPinPath(pinPath: string): (() => void) | undefined {
  let fd: number;
  try {
    fd = openSync(pinPath, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    const cause = code === 'ENOTDIR' ? 'not a directory' : 'cannot be opened';
    const hint = code === 'EACCES' || code === 'EPERM' ? 'Run it as root.' : 'Correct --pin-path.';
    throw new DatapathError(code, `open ${pinPath}: ${cause} (${code}). ${hint}`);
  }
  // A directory that was removed and made anew meanwhile is another one: its next owner locks that.
  if (lockFile(fd) && fstatSync(fd).ino === inodeOf(pinPath)) return once(() => closeSync(fd));
  closeSync(fd);
  throw new DatapathError(
    'EBUSY',
    `open ${pinPath}: another agent is updating it (EBUSY). Stop that agent, or use another --pin-path.`,
  );
}

/** Undefined when there is nothing. */
export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Closed twice, a descriptor may be somebody else's by then. */
function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}
