import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Change, Warning } from '../model/objects.js';
import { type ClusterIpRange, parseClusterIpRange } from './cluster-ip-range.js';
import { ManifestDirectory } from './manifest-directory.js';
import { computeManifestState } from './manifest-state.js';
import { ObjectCache } from './object-cache.js';
import { type Source, type SourceLog, type SourceSink, silentLog } from './source.js';

export interface ManifestSourceOptions {
  directory: string;
  /** Quiet time after the last event before files are read, in milliseconds; default 50. */
  debounceMs?: number;
  /** Look without an event so often, in milliseconds, for file systems that send none; default 5000. */
  pollMs?: number;
  /** CIDRs, one per family, to give cluster IPs from to Services that have none. Default: none, they are reported. */
  clusterIPRange?: string | string[];
  log?: SourceLog;
}

/** However busy the directory is, it is read at least this often, in debounce times. */
const MAX_DEBOUNCES = 10;
/** How soon a directory that could not be read is tried again. */
const RETRY_MS = 500;

/** Services, EndpointSlices and Nodes out of a directory of manifests, followed as the files change. */
export class ManifestSource implements Source {
  readonly stats = { scans: 0, changes: 0, warnings: 0, watchRestarts: 0 };
  readonly #directory: ManifestDirectory;
  readonly #ranges: ClusterIpRange[];
  readonly #debounceMs: number;
  readonly #pollMs: number;
  readonly #log: SourceLog;
  readonly #caches = {
    Node: new ObjectCache<object>(),
    ServiceCIDR: new ObjectCache<object>(),
    Service: new ObjectCache<object>(),
    EndpointSlice: new ObjectCache<object>(),
  };
  #sink: SourceSink | undefined;
  #watcher: FSWatcher | undefined;
  #watchedInode = '';
  #suspects = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #firstEventMs: number | undefined;
  #poll: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #wanted = false;
  #synced = false;
  #stopped = false;
  #told = new Set<string>();

  /** Throws when a cluster IP range is none. */
  constructor(options: ManifestSourceOptions) {
    this.#log = options.log ?? silentLog;
    this.#directory = new ManifestDirectory(options.directory, this.#log);
    this.#debounceMs = options.debounceMs ?? 50;
    this.#pollMs = options.pollMs ?? 5000;
    this.#ranges = [options.clusterIPRange ?? []].flat().map(parseClusterIpRange);
  }

  start(sink: SourceSink): void {
    if (this.#sink !== undefined) throw new Error('start source: it runs already (EALREADY). Make a new one');
    this.#sink = sink;
    this.#poll = setInterval(() => this.#scanSoon(0), this.#pollMs);
    this.#scanSoon(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#poll);
    this.#watcher?.close();
    await this.#running;
  }

  /** Reads the directory after a quiet time; every call begins it anew, within limits. */
  #scanSoon(delayMs: number): void {
    if (this.#stopped) return;
    const now = performance.now();
    this.#firstEventMs ??= now;
    const latestMs = this.#firstEventMs + MAX_DEBOUNCES * this.#debounceMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#firstEventMs = undefined;
        this.#wanted = true;
        this.#running ??= this.#scanWhileWanted().finally(() => {
          this.#running = undefined;
        });
      },
      Math.max(0, Math.min(delayMs, latestMs - now)),
    );
  }

  async #scanWhileWanted(): Promise<void> {
    while (this.#wanted && !this.#stopped) {
      this.#wanted = false;
      const suspects = this.#suspects;
      this.#suspects = new Set();
      try {
        // First the watch, then the look: a change in between is seen by one of them at least.
        await this.#openWatch();
        const scan = await this.#directory.scan(suspects);
        if (this.#stopped) return;
        this.stats.scans += 1;
        if (scan.changed || !this.#synced) this.#deliver(scan.objects, scan.warnings);
        if (scan.again) this.#scanSoon(this.#debounceMs);
      } catch (error) {
        this.#watchedInode = '';
        this.#scanSoon(RETRY_MS);
        const { code = 'EIO', message } = error as NodeJS.ErrnoException;
        const stays = this.#synced ? '; what was read before stays in force' : '';
        const text = `read directory ${this.#directory.path}: ${message} (${code}). Create it or correct --manifests${stays}`;
        this.#warn([{ object: `directory ${this.#directory.path}`, field: '', message: text }]);
      }
    }
  }

  /** A directory that was moved away and made anew is another one, of which the old watch hears nothing. */
  async #openWatch(): Promise<void> {
    const { path } = this.#directory;
    const info = await stat(path, { bigint: true });
    // Inode numbers are used again, times of birth are not.
    const inode = [info.dev, info.ino, info.birthtimeNs].join(':');
    if (inode === this.#watchedInode || this.#stopped) return;
    if (this.#watchedInode !== '') this.stats.watchRestarts += 1;
    this.#watcher?.close();
    this.#watchedInode = inode;
    try {
      this.#watcher = watch(path, (_event, name) => {
        if (name !== null) this.#suspects.add(name);
        this.#scanSoon(this.#debounceMs);
      });
      this.#watcher.on('error', () => {
        this.#watchedInode = '';
      });
    } catch (error) {
      // No more inotify watches: polling goes on.
      const { code = 'EIO', message } = error as NodeJS.ErrnoException;
      const next = `Raise fs.inotify.max_user_watches; until then changes are seen every ${this.#pollMs} ms`;
      this.#warn([
        { object: `directory ${path}`, field: '', message: `watch ${path}: ${message} (${code}). ${next}` },
      ]);
    }
  }

  #deliver(objects: Parameters<typeof computeManifestState>[0], fileWarnings: Warning[]): void {
    const state = computeManifestState(objects, this.#ranges);
    const next = {
      Node: state.nodes,
      ServiceCIDR: state.serviceCidrs,
      Service: state.services,
      EndpointSlice: state.slices,
    };
    const changes: Change[] = [];
    for (const kind of ['Node', 'ServiceCIDR', 'Service', 'EndpointSlice'] as const) {
      for (const { key, object } of this.#caches[kind].replace(next[kind])) {
        changes.push({ kind, key, object } as Change);
      }
    }
    // Deletions first, so that what one object gave up is free for the next one.
    changes.sort((a, b) => Number(a.object !== undefined) - Number(b.object !== undefined));
    this.stats.changes += changes.length;
    if (changes.length > 0) this.#sink?.changes(changes);
    const warnings = [...fileWarnings, ...state.warnings];
    const fresh = this.#warn(warnings);
    // A trouble that went away and comes back is told again.
    this.#told = new Set(warnings.map(textOf));
    this.#log.debug(`read ${this.#directory.path}: ${changes.length} changes, ${fresh} new warnings`);
    if (this.#synced) return;
    this.#synced = true;
    this.#sink?.synced();
  }

  /** Tells what has not been told; returns how many that were. */
  #warn(warnings: readonly Warning[]): number {
    let fresh = 0;
    for (const warning of warnings) {
      const text = textOf(warning);
      if (this.#told.has(text)) continue;
      this.#told.add(text);
      this.stats.warnings += 1;
      fresh += 1;
      this.#sink?.warning(warning);
    }
    return fresh;
  }
}

function textOf({ object, field, message }: Warning): string {
  return JSON.stringify([object, field, message]);
}
