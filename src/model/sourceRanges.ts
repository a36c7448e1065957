// loadBalancerSourceRanges: who may use a load-balancer IP. SEMANTICS section 7.

import type { Address, Cidr, Family } from './addresses.js';
import { isInAny, parseCidrs } from './cidrSet.js';
import { compareText } from './endpoints.js';
import type { Warning } from './objects.js';

export interface SourceRanges {
  /** By family. Absent: open to all. Empty: closed to all. */
  readonly 4?: readonly Cidr[];
  readonly 6?: readonly Cidr[];
}

/**
 * Reads the list of a Service. No entry: open. No entry that can be read: closed, since an operator who wrote a
 * restriction must not get none. A family without an entry of its own is open, as with kube-proxy; so is one with
 * a /0.
 */
export function readSourceRanges(
  texts: readonly string[],
  object: string,
): { ranges: SourceRanges; warnings: Warning[] } {
  if (texts.length === 0) return { ranges: {}, warnings: [] };
  const field = 'spec.loadBalancerSourceRanges';
  const { cidrs, warnings } = parseCidrs(texts, object, field);
  if (cidrs.length === 0) {
    const message = 'no entry can be read, so all clients are denied; write CIDRs such as 10.0.0.0/8';
    return { ranges: { 4: [], 6: [] }, warnings: [...warnings, { object, field, message }] };
  }
  const four = rangesOf(4, cidrs);
  const six = rangesOf(6, cidrs);
  return { ranges: { ...(four ? { 4: four } : {}), ...(six ? { 6: six } : {}) }, warnings };
}

function rangesOf(family: Family, cidrs: readonly Cidr[]): Cidr[] | undefined {
  const unique = new Map<string, Cidr>();
  for (const cidr of cidrs) if (cidr.family === family) unique.set(cidr.text, cidr);
  const ranges = [...unique.values()];
  if (ranges.length === 0 || ranges.some(({ prefixLength }) => prefixLength === 0)) return undefined;
  return ranges.sort((a, b) => compareText(a.text, b.text));
}

/** The two fields of a guarded frontend; none when the family is open. */
export function guardOf(
  ranges: SourceRanges,
  family: Family,
  nodeAddresses: readonly Address[],
): { sourceRanges?: string[]; nodeAllowed?: boolean } {
  const cidrs = ranges[family];
  if (cidrs === undefined) return {};
  return {
    sourceRanges: cidrs.map(({ text }) => text),
    nodeAllowed: nodeAddresses.some((address) => isInAny(cidrs, address)),
  };
}
