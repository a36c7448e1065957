import type { MetaLocality } from '../abi/generated.js';
import { IdPool } from './ids.js';
import type { Op } from './ops.js';

/** meta_localities: node and zone names, each pair stored once and counted by the backends that name it. */
export class Localities {
  readonly ids: IdPool;
  readonly #byText = new Map<string, { id: number; references: number }>();
  readonly #byId = new Map<number, { text: string; value: MetaLocality }>();

  constructor(max: number) {
    this.ids = new IdPool(max);
  }

  /** Id of the pair, 0 for none (no names, or no room: names are for display only). */
  acquire(nodeName: string | undefined, zone: string | undefined, ops: Op[]): number {
    if (!nodeName && !zone) return 0;
    const value = localityOf(nodeName, zone);
    const text = localityText(value);
    const known = this.#byText.get(text);
    if (known) {
      known.references++;
      return known.id;
    }
    const id = this.ids.take();
    if (id === undefined) return 0;
    this.#byText.set(text, { id, references: 1 });
    this.#byId.set(id, { text, value });
    ops.push({ kind: 'put', map: 'meta_localities', key: id, value, replaces: false });
    return id;
  }

  /** Does this id name this pair already? */
  matches(id: number, nodeName: string | undefined, zone: string | undefined): boolean {
    if (id === 0) return !nodeName && !zone;
    const entry = this.#byId.get(id);
    return entry?.text === localityText(localityOf(nodeName, zone));
  }

  release(id: number, after: Op[], freed: number[]): void {
    const entry = this.#byId.get(id);
    const known = entry && this.#byText.get(entry.text);
    if (!entry || !known || known.id !== id || --known.references > 0) return;
    this.#byText.delete(entry.text);
    this.#byId.delete(id);
    after.push({ kind: 'delete', map: 'meta_localities', key: id });
    freed.push(id);
  }

  /** After a restart. @returns false when the pair is already known by another id. */
  restore(id: number, value: MetaLocality): boolean {
    this.ids.mark(id);
    const text = localityText(value);
    if (this.#byText.has(text)) return false;
    this.#byText.set(text, { id, references: 0 });
    this.#byId.set(id, { text, value });
    return true;
  }

  /** A restored backend names it. @returns false when there is no such locality. */
  addReference(id: number): boolean {
    const entry = this.#byId.get(id);
    const known = entry && this.#byText.get(entry.text);
    if (!known || known.id !== id) return false;
    known.references++;
    return true;
  }

  /** Restored ids that nobody names are removed. */
  releaseUnused(after: Op[], freed: number[]): void {
    for (const [text, { id, references }] of this.#byText) {
      if (references > 0) continue;
      this.#byText.delete(text);
      this.#byId.delete(id);
      after.push({ kind: 'delete', map: 'meta_localities', key: id });
      freed.push(id);
    }
  }
}

/** Longer names than the map holds are cut: they are for display, and no reason to leave a backend out. */
function localityOf(nodeName = '', zone = ''): MetaLocality {
  return { node_name: cut(nodeName, 256), zone: cut(zone, 64) };
}

function cut(text: string, bytes: number): string {
  const encoded = new TextEncoder().encode(text.replaceAll('\0', ''));
  if (encoded.length <= bytes) return text.replaceAll('\0', '');
  let end = bytes;
  // Not in the middle of a character: continuation bytes are 10xxxxxx.
  while (((encoded[end] as number) & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(encoded.subarray(0, end));
}

function localityText(value: MetaLocality): string {
  return `${value.node_name}\n${value.zone}`;
}
