import { isSameObject } from './same-object.js';

/** The last good version of every object of one kind, by key. */
export class ObjectCache<T extends object> {
  #objects = new Map<string, T>();

  get size(): number {
    return this.#objects.size;
  }

  get(key: string | undefined): T | undefined {
    return key === undefined ? undefined : this.#objects.get(key);
  }

  /** Returns whether this is a change. */
  set(key: string, object: T): boolean {
    const old = this.#objects.get(key);
    if (old !== undefined && isSameObject(old, object)) return false;
    this.#objects.set(key, object);
    return true;
  }

  delete(key: string): boolean {
    return this.#objects.delete(key);
  }

  /** Takes over a complete new set; returns the differences, deletions first. */
  replace(next: ReadonlyMap<string, T>): { key: string; object: T | undefined }[] {
    const changes: { key: string; object: T | undefined }[] = [];
    for (const key of [...this.#objects.keys()]) {
      if (next.has(key)) continue;
      this.#objects.delete(key);
      changes.push({ key, object: undefined });
    }
    for (const [key, object] of next) {
      if (this.set(key, object)) changes.push({ key, object });
    }
    return changes;
  }
}
