import { isIPv4, isIPv6 } from 'node:net';
import type { ListenAddress } from './listener.js';

/**
 * "0.0.0.0:10256", "[::1]:10249", or an address alone, which gets the default port.
 * @returns undefined when it is none of these.
 */
export function parseBindAddress(text: string, defaultPort: number): ListenAddress | undefined {
  if (isIPv4(text) || isIPv6(text)) return { host: text, port: defaultPort };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, six, four, digits] = match;
  const port = Number(digits);
  const valid = six === undefined ? isIPv4(four as string) : isIPv6(six);
  return valid && port >= 1 && port <= 65_535 ? { host: (six ?? four) as string, port } : undefined;
}

/** The inverse of `parseBindAddress`. */
export function bindAddressText({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
