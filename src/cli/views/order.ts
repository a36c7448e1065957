import { addrToBytes } from '../../abi/index.js';

/** Compares by the given keys in turn. Text is compared by code unit: the same order in every locale. */
export function by<T>(...keys: ((value: T) => string | number)[]): (a: T, b: T) => number {
  return (a, b) => {
    for (const key of keys) {
      const left = key(a);
      const right = key(b);
      if (left < right) return -1;
      if (left > right) return 1;
    }
    return 0;
  };
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
