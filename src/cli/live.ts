import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Abi, MAP_NAMES, type MapName } from '../abi/index.js';
import { cleanup } from '../agent/cleanup.js';
import { parseLinkPinName } from '../agent/pins.js';
import { linksDirectory, openReadOnly, type ReadOnlyDatapath } from '../datapath/index.js';
import { BpfLink, LinkType, monotonicNs } from '../native/index.js';
import type { CleanupOptions, CleanupReport } from './environment.js';
import { CliError, UsageError } from './errors.js';
import type { LiveMaps, LiveState, PinnedLink } from './reader.js';

/**
 * Opens the maps that an agent has pinned. Reads only; the agent may be running, dead or be killed meanwhile.
 * @throws CliError when nothing is pinned there or it may not be read, DatapathError when it is another version's.
 */
export function openLive(pinPath: string): LiveState {
  checkReadable(pinPath);
  return new Live(openReadOnly({ pinPath }));
}

function checkReadable(pinPath: string): void {
  if (!pinPath.startsWith('/'))
    throw new UsageError(`use --pin-path '${pinPath}': not an absolute path. give the agent's`);
  try {
    readdirSync(pinPath);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    if (code === 'EACCES' || code === 'EPERM') {
      throw new CliError(`open maps at ${pinPath}: not permitted (${code}). run it as root`);
    }
    throw new CliError(
      `open maps at ${pinPath}: nothing is pinned there (${code}). is the agent running? pass --pin-path if it pins elsewhere`,
    );
  }
}

class Live implements LiveState {
  readonly maps: LiveMaps;
  readonly #abi: Abi;
  readonly #datapath: ReadOnlyDatapath;

  constructor(datapath: ReadOnlyDatapath) {
    this.#datapath = datapath;
    this.#abi = datapath.abi;
    this.maps = datapath.reader;
  }

  get pinPath(): string {
    return this.#datapath.pinPath;
  }

  nowNs(): bigint {
    return monotonicNs();
  }

  mapNames(): MapName[] {
    return MAP_NAMES.filter((name): name is MapName => this.#abi.maps.get(name)?.key !== undefined);
  }

  memoryBytes(mapName: string): number | null {
    const info = readFileSync(`/proc/self/fdinfo/${this.#datapath.map(mapName).fd}`, 'utf8');
    const memlock = /^memlock:\s*(\d+)$/m.exec(info);
    return memlock ? Number(memlock[1]) : null;
  }

  links(): PinnedLink[] {
    const directory = linksDirectory(this.pinPath);
    if (!existsSync(directory)) return [];
    return readdirSync(directory)
      .filter((name) => parseLinkPinName(name) !== undefined || name.startsWith('sk_'))
      .map((name) => readLink(directory, name));
  }

  [Symbol.dispose](): void {
    this.#datapath.close();
  }
}

function readLink(directory: string, name: string): PinnedLink {
  using link = BpfLink.openPinned(join(directory, name));
  const { type, progId, ifindex, cgroupId } = link.info;
  const place = parseLinkPinName(name);
  const known = Object.entries(LinkType).find(([, value]) => value === type);
  return {
    hook: place?.hook ?? name,
    ...(place && { device: place.deviceName }),
    type: known ? known[0].toLowerCase() : String(type),
    programId: progId,
    attached: Boolean(ifindex) || Boolean(cgroupId),
  };
}

/**
 * Removes every trace of an agent that has ended.
 * @throws DatapathError EBUSY while an agent holds the pin path.
 */
export function cleanUp({ pinPath }: CleanupOptions): Promise<CleanupReport> {
  return cleanup({ pinPath });
}
