import { randomUUID } from 'node:crypto';
import type { KubeObject, Resource } from './resources.js';
import { resourceOfKind, resources } from './resources.js';

/** One step in the life of an object; `before` or `after` is missing when it began or ended. */
export interface HistoryEntry {
  version: number;
  before?: KubeObject;
  after?: KubeObject;
}

type Listener = (resource: Resource, entry: HistoryEntry) => void;

/**
 * Objects with one resourceVersion counter for all of them, as etcd has it, and a history that can be compacted.
 */
export class Store {
  readonly #objects = new Map<string, Map<string, KubeObject>>(
    resources.map((each) => [each.plural, new Map()]),
  );
  readonly #history = new Map<string, HistoryEntry[]>(resources.map((each) => [each.plural, []]));
  readonly #listeners = new Set<Listener>();
  #version: number;
  #compacted: number;

  /** `historyLimit`: entries kept per resource; older ones are compacted away. */
  constructor(
    firstVersion: number,
    readonly historyLimit: number,
  ) {
    this.#version = firstVersion;
    this.#compacted = firstVersion;
  }

  get version(): number {
    return this.#version;
  }

  /** Watching from before this version is answered with 410. */
  get compactedVersion(): number {
    return this.#compacted;
  }

  list(resource: Resource): KubeObject[] {
    const objects = this.#objects.get(resource.plural) ?? new Map<string, KubeObject>();
    return [...objects.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
  }

  get(resource: Resource, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(resource.plural)?.get(keyOf(resource, namespace, name));
  }

  /** Creates or replaces; returns what is stored. */
  put(input: KubeObject): KubeObject {
    const resource = resourceOfKind(input.kind);
    const namespace = resource.namespaced ? (input.metadata.namespace ?? 'default') : undefined;
    const key = keyOf(resource, namespace, input.metadata.name);
    const before = this.#objects.get(resource.plural)?.get(key);
    this.#version += 1;
    const copy = structuredClone(input);
    const after: KubeObject = {
      ...copy,
      apiVersion: resource.apiVersion,
      metadata: {
        ...copy.metadata,
        ...(namespace === undefined ? {} : { namespace }),
        uid: copy.metadata.uid ?? before?.metadata.uid ?? randomUUID(),
        creationTimestamp:
          copy.metadata.creationTimestamp ?? before?.metadata.creationTimestamp ?? new Date().toISOString(),
        resourceVersion: String(this.#version),
      },
    };
    this.#objects.get(resource.plural)?.set(key, after);
    this.#record(resource, { version: this.#version, after, ...(before === undefined ? {} : { before }) });
    return after;
  }

  delete(resource: Resource, namespace: string | undefined, name: string): KubeObject | undefined {
    const key = keyOf(resource, namespace, name);
    const before = this.#objects.get(resource.plural)?.get(key);
    if (before === undefined) return undefined;
    this.#objects.get(resource.plural)?.delete(key);
    this.#version += 1;
    // The last version of a deleted object carries the version of its deletion.
    const last = { ...before, metadata: { ...before.metadata, resourceVersion: String(this.#version) } };
    this.#record(resource, { version: this.#version, before: last });
    return last;
  }

  historySince(resource: Resource, version: number): HistoryEntry[] {
    return (this.#history.get(resource.plural) ?? []).filter((entry) => entry.version > version);
  }

  /** Forgets the history up to now: whoever watches from an older version gets 410. */
  compact(): void {
    for (const history of this.#history.values()) history.length = 0;
    this.#compacted = this.#version;
  }

  /** Moves the version on without touching a watched object, as writes to other resources do. */
  advance(by: number): void {
    this.#version += by;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #record(resource: Resource, entry: HistoryEntry): void {
    const history = this.#history.get(resource.plural);
    history?.push(entry);
    if (history !== undefined && history.length > this.historyLimit) {
      const dropped = history.splice(0, history.length - this.historyLimit);
      this.#compacted = Math.max(this.#compacted, dropped.at(-1)?.version ?? 0);
    }
    for (const listener of this.#listeners) listener(resource, entry);
  }
}

function keyOf(resource: Resource, namespace: string | undefined, name: string): string {
  return resource.namespaced ? `${namespace ?? 'default'}/${name}` : name;
}
