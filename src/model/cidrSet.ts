import { type Address, type Cidr, contains, isUnparsable, networkOf, parseCidr } from './addresses.js';
import type { Warning } from './objects.js';

/**
 * Prefixes of many owners (the pod ranges of all nodes). A lookup costs one probe per distinct prefix length, not
 * one per prefix.
 */
export class CidrSet {
  /** By family * 1000 + prefix length: prefix text -> number of owners. */
  readonly #byLength = new Map<number, Map<string, number>>();

  add(cidr: Cidr): void {
    const length = lengthKey(cidr.family, cidr.prefixLength);
    const counts = this.#byLength.get(length) ?? new Map<string, number>();
    this.#byLength.set(length, counts);
    counts.set(cidr.text, (counts.get(cidr.text) ?? 0) + 1);
  }

  delete(cidr: Cidr): void {
    const length = lengthKey(cidr.family, cidr.prefixLength);
    const counts = this.#byLength.get(length);
    const count = counts?.get(cidr.text);
    if (counts === undefined || count === undefined) return;
    if (count > 1) counts.set(cidr.text, count - 1);
    else counts.delete(cidr.text);
    if (counts.size === 0) this.#byLength.delete(length);
  }

  contains(address: Address): boolean {
    for (const [length, counts] of this.#byLength) {
      const prefixLength = length - lengthKey(address.family, 0);
      if (prefixLength < 0 || prefixLength > address.bytes.length * 8) continue;
      if (counts.has(networkOf(address, prefixLength).text)) return true;
    }
    return false;
  }
}

function lengthKey(family: number, prefixLength: number): number {
  return family * 1000 + prefixLength;
}

export function isInAny(cidrs: readonly Cidr[], address: Address): boolean {
  return cidrs.some((cidr) => contains(cidr, address));
}

/** Parses a list of an option or a field; what is no CIDR is left out and reported. White space around is fine. */
export function parseCidrs(
  texts: readonly string[],
  object: string,
  field: string,
): { cidrs: Cidr[]; warnings: Warning[] } {
  const cidrs: Cidr[] = [];
  const warnings: Warning[] = [];
  for (const [index, text] of texts.entries()) {
    const cidr = parseCidr(text.trim());
    if (!isUnparsable(cidr)) cidrs.push(cidr);
    else {
      const message = `${JSON.stringify(text)} ${cidr.reason} and is left out; correct or remove it`;
      warnings.push({ object, field: `${field}[${index}]`, message });
    }
  }
  return { cidrs, warnings };
}
