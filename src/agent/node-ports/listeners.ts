import { closeSync, openSync, readSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import type { Protocol } from '../../model/objects.js';

/** A socket of this network namespace that waits for whoever comes. */
export interface Listener {
  protocol: Protocol;
  family: 4 | 6;
  /** Canonical text; undefined: every address. */
  ip: string | undefined;
  port: number;
}

/** TCP_LISTEN; of UDP sockets TCP_CLOSE, which is "bound and not connected". */
const STATES = { TCP: '0A', UDP: '07' } as const;

const TABLES = [
  { protocol: 'TCP', family: 4, file: 'tcp' },
  { protocol: 'TCP', family: 6, file: 'tcp6' },
  { protocol: 'UDP', family: 4, file: 'udp' },
  { protocol: 'UDP', family: 6, file: 'udp6' },
] as const;

/**
 * Sockets that listen, of TCP and UDP. The kernel prints listening TCP sockets before all others: what is behind them,
 * which may be hundreds of thousands of connections, is not read.
 * @param directory where the tables are, of the caller's network namespace by default.
 */
export function readListeners(directory = '/proc/self/net'): Listener[] {
  return TABLES.flatMap(({ protocol, family, file }) => {
    const found: Listener[] = [];
    for (const line of linesOf(`${directory}/${file}`)) {
      const listener = parseLine(line, protocol, family);
      if (listener) found.push(listener);
      else if (protocol === 'TCP') break;
    }
    return found;
  });
}

/** A line of /proc/net/tcp and its like; undefined: not a listening socket. */
export function parseLine(line: string, protocol: 'TCP' | 'UDP', family: 4 | 6): Listener | undefined {
  const [, local = '', , state] = line.trim().split(/\s+/);
  const [address = '', port = ''] = local.split(':');
  if (state !== STATES[protocol] || address.length !== (family === 4 ? 8 : 32)) return undefined;
  const bytes = hostOrder(address);
  return {
    protocol,
    family,
    ip: bytes.every((b) => b === 0) ? undefined : textOf(bytes),
    port: parseInt(port, 16),
  };
}

/** Words are printed as numbers of the machine; those that Shunt is built for are little endian. */
function hostOrder(hex: string): number[] {
  const words = hex.match(/.{8}/g) ?? [];
  return words.flatMap((word) => (word.match(/../g) ?? []).map((byte) => parseInt(byte, 16)).reverse());
}

function textOf(bytes: number[]): string {
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** Without the heading. A table that this kernel does not have is empty. */
function* linesOf(path: string): Iterable<string> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return;
  }
  try {
    const buffer = Buffer.alloc(16_384);
    let rest = '';
    let isHeading = true;
    for (;;) {
      const read = readSync(fd, buffer);
      if (read === 0) return;
      const lines = (rest + buffer.toString('latin1', 0, read)).split('\n');
      rest = lines.pop() ?? '';
      if (isHeading) lines.shift();
      isHeading = false;
      yield* lines;
    }
  } finally {
    closeSync(fd);
  }
}
