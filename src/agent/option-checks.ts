import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { parseBindAddress } from './health/bind-address.js';

/** A wrong option: `flag` names it as typed on the command line. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError';
  constructor(
    readonly flag: string,
    message: string,
  ) {
    super(message);
  }
}

export function oneOf(flag: string, value: string, allowed: string[]): void {
  if (!allowed.includes(value)) {
    throw new OptionsError(flag, `use ${flag} '${value}': unknown value. it is one of ${allowed.join(', ')}`);
  }
}

/** Of ports, host order, both ends inclusive. */
export function checkRange(flag: string, range: { min: number; max: number }, least: number): void {
  const ok = (n: number) => Number.isInteger(n) && n >= least && n <= 65_535;
  if (!ok(range.min) || !ok(range.max) || range.min > range.max) {
    throw new OptionsError(
      flag,
      `use ${flag} ${range.min}-${range.max}: not a range within ${least}-65535. write the lower end first, like 10000-29999`,
    );
  }
}

/** Empty is allowed: nowhere. */
export function checkBindAddress(flag: string, text: string, port: number): void {
  if (text === '' || parseBindAddress(text, port)) return;
  throw new OptionsError(
    flag,
    `use ${flag} '${text}': not an address with a port. write it like 0.0.0.0:${port} or [::]:${port}, or leave it empty to have none`,
  );
}

export function checkCidr(flag: string, cidr: string): void {
  if (!ipaddr.isValidCIDR(cidr)) {
    throw new OptionsError(
      flag,
      `use ${flag} '${cidr}': not an address range. write it like 10.0.0.0/8 or fd00::/8`,
    );
  }
}

/** 0 included. */
export function checkNumber(flag: string, value: number, most: number, unit: string): void {
  if (Number.isFinite(value) && value >= 0 && value <= most) return;
  throw new OptionsError(flag, `use ${flag} ${value}: not a number of ${unit} from 0 to ${most}. correct it`);
}

/** 0 included. */
export function checkWhole(flag: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return;
  throw new OptionsError(flag, `use ${flag} ${value}: not a whole number from 0 to ${most}. correct it`);
}

/** One that a packet may have as its source. */
export function checkSourceAddress(flag: string, text: string, family: 4 | 6): void {
  const fail = (cause: string): never => {
    const good = family === 4 ? 'one of 169.254.0.0/16 works' : 'a unique local one (fd00::/8) works';
    throw new OptionsError(flag, `use ${flag} '${text}': ${cause}. ${good}`);
  };
  if (!(family === 4 ? isIPv4(text) : isIPv6(text))) fail(`not an IPv${family} address`);
  const range = ipaddr.parse(text).range();
  // The stack forwards no link-local IPv6 source, and drops the others as martians.
  const refused = ['unspecified', 'loopback', 'multicast', 'broadcast', 'ipv4Mapped'];
  if (family === 6) refused.push('linkLocal');
  if (refused.includes(range)) fail(`no packet may have it as its source (${range})`);
}

/** Two sockets of one process that want one port. */
export function checkApart(
  healthz: string,
  metrics: string,
  ports: { healthz: number; metrics: number },
): void {
  const [a, b] = [parseBindAddress(healthz, ports.healthz), parseBindAddress(metrics, ports.metrics)];
  if (!a || !b || a.port !== b.port) return;
  const everywhere = ['0.0.0.0', '::'];
  if (a.host !== b.host && !everywhere.includes(a.host) && !everywhere.includes(b.host)) return;
  throw new OptionsError(
    '--metrics-bind-address',
    `use --metrics-bind-address '${metrics}': --healthz-bind-address '${healthz}' has the port. choose another one`,
  );
}
