import { addrToBytes } from '../../abi/index.js';

/**
 * A sorted copy, by the given keys in turn; each key is computed once per value. Text is compared by code unit: the
 * same order in every locale. Values with equal keys keep their order.
 */
export function sortedBy<T>(values: Iterable<T>, ...keys: ((value: T) => string | number)[]): T[] {
  const keyed = Array.from(values, (value) => ({ value, keys: keys.map((key) => key(value)) }));
  return keyed.sort((a, b) => compareKeys(a.keys, b.keys)).map(({ value }) => value);
}

function compareKeys(a: (string | number)[], b: (string | number)[]): number {
  for (const [i, left] of a.entries()) {
    const right = b[i] as string | number;
    if (left < right) return -1;
    if (left > right) return 1;
  }
  return 0;
}

/** A text that sorts addresses by number, IPv4 first; what is no address ('*', '') sorts before them. */
export function addressKey(ip: string): string {
  if (ip === '' || ip === '*') return '';
  return `${ip.includes(':') ? 6 : 4}${Buffer.from(addrToBytes(ip)).toString('hex')}`;
}

/** A service port that has no name in the maps (any more) is called by its id. */
export function serviceName(ref: { serviceId: number; name: string }): string {
  return ref.name || `#${ref.serviceId}`;
}
