import { accessSync, chmodSync, constants, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BpfMap, BpfObject, isBpffs, type MapExpectation, mountBpffs } from '../native/index.js';
import { DatapathError } from './handles.js';

export const DEFAULT_PIN_PATH = '/sys/fs/bpf/shunt';
const BPFFS = '/sys/fs/bpf';

/** Directory of this layout's pins. */
export function layoutDirectory(pinPath: string): string {
  return join(pinPath, 'v1');
}

export function linksDirectory(pinPath: string): string {
  return join(layoutDirectory(pinPath), 'links');
}

/** Name under which the constants of the loaded programs are pinned, for a read-only twin. */
export const RODATA_PIN = 'rodata';

/**
 * Makes `<pinPath>/v1/links`, each directory mode 0700. Mounts a bpffs at /sys/fs/bpf when the path
 * is below it and nothing is mounted there.
 * @throws DatapathError when the path is on no bpffs.
 */
export function makePinDirectories(pinPath: string): void {
  let existing = pinPath;
  while (!existsSync(existing)) existing = dirname(existing);
  if (!isBpffs(existing) && `${pinPath}/`.startsWith(`${BPFFS}/`) && existsSync(BPFFS) && !isBpffs(BPFFS)) {
    mountBpffs(BPFFS);
    existing = BPFFS;
  }
  if (!isBpffs(existing)) {
    throw new DatapathError(
      'EINVAL',
      `open ${pinPath}: ${existing} is not on a BPF file system (EINVAL). Mount one, mount -t bpf bpf ${BPFFS}, or give a --pin-path on one.`,
    );
  }
  for (const directory of [pinPath, layoutDirectory(pinPath), linksDirectory(pinPath)]) {
    try {
      // mkdir says ENOENT for a file system that is read-only, access says what it is.
      if (!existsSync(directory)) accessSync(existing, constants.W_OK);
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      // An umask or an older directory may have left another mode.
      chmodSync(directory, 0o700);
    } catch (error) {
      throw unmade(directory, (error as NodeJS.ErrnoException).code ?? 'EIO');
    }
  }
}

function unmade(directory: string, code: string): DatapathError {
  const [cause, hint] =
    code === 'EROFS'
      ? ['the file system is read-only', 'Mount it writable, or give another --pin-path.']
      : code === 'EPERM' && directory.includes('.')
        ? ['a BPF file system takes no dots in names', 'Give a --pin-path without.']
        : ['not permitted', 'Run it as root, or give another --pin-path.'];
  return new DatapathError(code, `make directory ${directory}: ${cause} (${code}). ${hint}`);
}

/**
 * Opens the maps that are pinned, checked against the object's: type, sizes, flags and C types.
 * @param sizes tables whose size was asked for; the others keep the size they have.
 * @throws DatapathError naming every difference.
 */
export function openPinnedMaps(
  pinPath: string,
  objectPath: string,
  names: Iterable<string>,
  sizes: Readonly<Record<string, number>>,
): Map<string, BpfMap> {
  const specs = BpfObject.inspect(objectPath).maps;
  const directory = layoutDirectory(pinPath);
  const maps = new Map<string, BpfMap>();
  const differences: string[] = [];
  for (const name of names) {
    const spec = specs[name];
    const path = join(directory, name);
    if (!spec || !existsSync(path)) continue;
    const { maxEntries: _, ...rest } = spec;
    const expect: MapExpectation = sizes[name] === undefined ? rest : { ...rest, maxEntries: sizes[name] };
    try {
      maps.set(name, BpfMap.openPinned(path, expect));
    } catch (error) {
      differences.push((error as Error).message);
    }
  }
  if (differences.length === 0) return maps;
  for (const map of maps.values()) map.close();
  throw new DatapathError(
    'EINVAL',
    `open ${directory}: ${differences.length} pinned maps do not fit this version or these sizes (EINVAL). ` +
      `Run 'shunt cleanup --pin-path ${pinPath}' and start again (this ends translated connections), or go back to the former version and sizes.\n` +
      differences.map((text) => `  ${text}`).join('\n'),
  );
}

/** Pins the maps that this load has made. */
export function pinNewMaps(
  pinPath: string,
  names: Iterable<string>,
  object: BpfObject,
  pinned: ReadonlyMap<string, unknown>,
): void {
  const directory = layoutDirectory(pinPath);
  for (const name of names) {
    if (!pinned.has(name)) object.map(name).pin(join(directory, name));
  }
  // Constants belong to this load: the former pin would show another agent's settings.
  if (!object.mapNames.includes('.rodata')) return;
  rmSync(join(directory, RODATA_PIN), { force: true });
  object.map('.rodata').pin(join(directory, RODATA_PIN));
}

/** Pins the maps of a load whose pins are gone or are of other maps; their names. */
export function pinMissing(pinPath: string, names: Iterable<string>, object: BpfObject): string[] {
  const directory = layoutDirectory(pinPath);
  const restored: string[] = [];
  const wanted = [...names].map((name): [string, BpfMap] => [name, object.map(name)]);
  if (object.mapNames.includes('.rodata')) wanted.push([RODATA_PIN, object.map('.rodata')]);
  for (const [name, map] of wanted) {
    const path = join(directory, name);
    if (pinnedId(path) === map.info.id) continue;
    rmSync(path, { force: true, recursive: true });
    map.pin(path);
    restored.push(name);
  }
  return restored;
}

function pinnedId(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  try {
    using map = BpfMap.openPinned(path);
    return map.info.id;
  } catch {
    // A link, a program, a directory: whatever it is, it is not the map.
    return undefined;
  }
}
