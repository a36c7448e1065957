/** 10.0.0.1:80, [fd00::1]:80; a NodePort's address is * or, for IPv6, [*]. */
export function hostPort(ip: string, port: number, family: 4 | 6 = ip.includes(':') ? 6 : 4): string {
  return family === 6 ? `[${ip}]:${port}` : `${ip}:${port}`;
}

const PROTOCOLS: Record<number, string> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' };

/** Name of an IPPROTO_* number. */
export function protocolName(number: number): string {
  return PROTOCOLS[number] ?? String(number);
}

/** 0.4s, 12s, 3m12s, 2h05m, 4d03h. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  const s = Math.floor(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86_400)}d${two(Math.floor((s % 86_400) / 3600))}h`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 512 B, 4.0 KiB, 1.5 MiB. */
export function byteSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
}
