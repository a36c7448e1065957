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
    throw new OptionsError(flag, `use ${flag} ${range.min}-${range.max}: not a range within ${least}-65535`);
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
