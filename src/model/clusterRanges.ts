// Where cluster IPs come from: what is configured, and what ServiceCIDR objects say. SEMANTICS section 6.

import { type Cidr, isUnparsable, parseAddress } from './addresses.js';
import { isInAny, parseCidrs } from './cidrSet.js';
import type { ClusterRanges } from './desired.js';
import { compareText } from './endpoints.js';
import type { ServiceCidrObject, Warning } from './objects.js';

export class ServiceCidrs {
  #configured: readonly Cidr[] = [];
  readonly #learned = new Map<string, readonly Cidr[]>();
  /** Of both, each once. */
  all: readonly Cidr[] = [];

  configure(cidrs: readonly Cidr[]): void {
    this.#configured = cidrs;
    this.#unite();
  }

  /** @returns what is wrong with the object; the rest of it counts. */
  set(name: string, object: ServiceCidrObject | undefined): Warning[] {
    const { cidrs, warnings } = parseCidrs(object?.cidrs ?? [], `ServiceCIDR ${name}`, 'spec.cidrs');
    if (object) this.#learned.set(name, cidrs);
    else this.#learned.delete(name);
    this.#unite();
    return warnings;
  }

  #unite(): void {
    const byText = new Map<string, Cidr>();
    for (const cidr of [...this.#configured, ...[...this.#learned.values()].flat()])
      byText.set(cidr.text, cidr);
    this.all = [...byText.values()].sort((a, b) => compareText(a.text, b.text));
  }
}

/**
 * Only who serves every Service may say that an address has none: beside another proxy most cluster IPs are that
 * one's, and even instead of kube-proxy those of Services with a label that names another.
 */
export function computeClusterRanges(
  serveAll: boolean,
  cidrs: readonly Cidr[],
  foreignIps: Iterable<string>,
): ClusterRanges {
  if (!serveAll || cidrs.length === 0) return { service: [], foreign: [] };
  const foreign: string[] = [];
  for (const ip of foreignIps) {
    const address = parseAddress(ip);
    if (!isUnparsable(address) && isInAny(cidrs, address)) foreign.push(ip);
  }
  return { service: cidrs.map(({ text }) => text), foreign: foreign.sort(compareText) };
}
