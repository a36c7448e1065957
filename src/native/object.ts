import { addon, type Bytes, type MapSpec, type ObjectFile } from './addon.js';
import { BpfMap } from './map.js';
import { checkInteger, checkOptions } from './options.js';
import { BpfProgram } from './program.js';

export interface LoadOptions {
  /** The compiled object (`clang -target bpf -g`). */
  path: string;
  /** Values of `const volatile` variables by name; each exactly the variable's size. */
  rodata?: Record<string, Bytes>;
  /** Existing maps to use instead of new ones, by the object's map name. They stay the caller's. */
  reuseMaps?: Record<string, BpfMap>;
  /** Sizes other than the object's, by map name. */
  maxEntries?: Record<string, number>;
  /** Programs to load; default all. */
  programs?: string[];
}

/** What an object file declares, with its maps by name. */
export interface ObjectDescription extends Omit<ObjectFile, 'maps'> {
  maps: Record<string, MapSpec>;
}

/**
 * The maps and programs of one loaded object file. It owns them: {@link close} closes all of them, and
 * {@link map} and {@link program} return the same object each time.
 */
export class BpfObject implements Disposable {
  private constructor(
    private readonly maps: Map<string, BpfMap>,
    private readonly programs: Map<string, BpfProgram>,
    readonly path: string,
  ) {}

  /**
   * Opens, relocates and loads an object file, on the thread pool. Rejects with {@link BpfError}: `ENOENT` for a
   * missing file or an unknown name, `EINVAL` for a value of the wrong size or a reused map of another shape, and
   * the verifier's errno with its last lines in the message and everything in `log` when a program is refused.
   * On failure nothing stays in the kernel.
   */
  static async load(options: LoadOptions): Promise<BpfObject> {
    checkOptions('BpfObject.load', options, ['path', 'rodata', 'reuseMaps', 'maxEntries', 'programs']);
    for (const [name, count] of Object.entries(options.maxEntries ?? {})) {
      checkInteger('BpfObject.load', `maxEntries.${name}`, count, 1);
    }
    const reuse = Object.entries(options.reuseMaps ?? {}).map(([name, map]) => [name, map.handle] as const);
    const loaded = await addon().loadObject(
      options.path,
      options.rodata ?? {},
      Object.fromEntries(reuse),
      options.maxEntries ?? {},
      options.programs,
    );
    return new BpfObject(
      new Map(loaded.maps.map(({ name, handle }) => [name, new BpfMap(handle)])),
      new Map(loaded.programs.map(({ name, handle }) => [name, new BpfProgram(handle)])),
      options.path,
    );
  }

  /** Reads an object file without loading it; a map's description fits `BpfMap.openPinned` as expectation. */
  static inspect(path: string): ObjectDescription {
    const { maps, ...rest } = addon().inspectObject(path);
    return { ...rest, maps: Object.fromEntries(maps.map((map) => [map.name, map])) };
  }

  /** In the object's order; variables' maps are named by their section (`.rodata`, `.bss`). */
  get mapNames(): string[] {
    return [...this.maps.keys()];
  }

  /** Those that were loaded. */
  get programNames(): string[] {
    return [...this.programs.keys()];
  }

  map(name: string): BpfMap {
    return this.named(this.maps, 'map', name);
  }

  program(name: string): BpfProgram {
    return this.named(this.programs, 'program', name);
  }

  private named<T>(all: Map<string, T>, kind: string, name: string): T {
    const one = all.get(name);
    if (!one) {
      throw new RangeError(
        `object ${this.path} has no loaded ${kind} "${name}" (it has: ${[...all.keys()].join(', ')})`,
      );
    }
    return one;
  }

  /** Closes every map and program of this object. Pins, links and other processes keep theirs. Idempotent. */
  close(): void {
    for (const program of this.programs.values()) program.close();
    for (const map of this.maps.values()) map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
