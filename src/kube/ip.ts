import { isIPv4 } from 'node:net';
import { isUnparsable, parseAddress } from '../model/addresses.js';

/**
 * An address as the model writes it: dotted IPv4 without leading zeros, or lower-case compressed IPv6.
 * undefined when the text is no address. A zone (`%eth0`) is no part of an address here.
 */
export function canonicalIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (text.includes(':')) {
    const address = parseAddress(text);
    return isUnparsable(address) ? undefined : address.text;
  }
  // Old API servers let leading zeros through and mean them as decimal, never as octal.
  if (/^\d{1,9}(\.\d{1,9}){3}$/.test(text)) {
    const plain = text.split('.').map(Number).join('.');
    return isIPv4(plain) ? plain : undefined;
  }
  return undefined;
}

/** Family of a canonical address. */
export function familyOf(ip: string): 4 | 6 {
  return ip.includes(':') ? 6 : 4;
}
