/**
 * key -> set of members, sized for hundreds of thousands of keys that mostly have one member: those cost no Set.
 */
export class MultiIndex {
  readonly #members = new Map<string, string | Set<string>>();

  add(key: string, member: string): void {
    const present = this.#members.get(key);
    if (present === undefined) this.#members.set(key, member);
    else if (typeof present !== 'string') present.add(member);
    else if (present !== member) this.#members.set(key, new Set([present, member]));
  }

  delete(key: string, member: string): void {
    const present = this.#members.get(key);
    if (present === member) this.#members.delete(key);
    if (present === undefined || typeof present === 'string') return;
    present.delete(member);
    if (present.size === 1) for (const last of present) this.#members.set(key, last);
  }

  has(key: string): boolean {
    return this.#members.has(key);
  }

  get(key: string): Iterable<string> {
    const present = this.#members.get(key);
    if (present === undefined) return [];
    return typeof present === 'string' ? [present] : present;
  }

  keys(): Iterable<string> {
    return this.#members.keys();
  }

  get size(): number {
    return this.#members.size;
  }
}

/** Calls `remove` and `add` for what went and what came between two lists; both are read as sets. */
export function diffKeys(
  before: Iterable<string>,
  after: Iterable<string>,
  remove: (key: string) => void,
  add: (key: string) => void,
): void {
  const old = new Set(before);
  const now = new Set(after);
  for (const key of old) if (!now.has(key)) remove(key);
  for (const key of now) if (!old.has(key)) add(key);
}
