import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * An address as the model writes it: dotted IPv4 without leading zeros, or lower-case compressed IPv6.
 * undefined when the text is no address. A zone (`%eth0`) is no part of an address here.
 */
export function canonicalIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (isIPv6(text)) return text.includes('%') ? undefined : ipaddr.IPv6.parse(text).toRFC5952String();
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
