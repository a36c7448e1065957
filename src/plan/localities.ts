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
    const value = { node_name: nodeName ?? '', zone: zone ?? '' };
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
    const value = this.#byId.get(id)?.value;
    return value?.node_name === (nodeName ?? '') && value.zone === (zone ?? '');
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

function localityText(value: MetaLocality): string {
  return `${value.node_name}\n${value.zone}`;
}
