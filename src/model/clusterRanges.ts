// Where cluster IPs come from: what is configured, and what ServiceCIDR objects say. SEMANTICS section 6.

import { type Cidr, isUnparsable, parseAddress } from './addresses.js';
import { isInAny, parseCidrs } from './cidrSet.js';
import type { ClusterRanges } from './desired.js';
import { compareText } from './endpoints.js';
import type { ServiceCidrObject, Warning } from './objects.js';

export class ServiceCidrs {
  #configured: readonly Cidr[] = [];
  readonly #learned = new Map<string, readonly Cidr[]>();
  readonly #warnings = new Map<string, Warning[]>();
  readonly #fresh: Warning[] = [];
  /** Of both, each once. */
  all: readonly Cidr[] = [];

  configure(cidrs: readonly Cidr[]): void {
    this.#configured = cidrs;
    this.#unite();
  }

  set(name: string, object: ServiceCidrObject | undefined): void {
    const { cidrs, warnings } = parseCidrs(object?.cidrs ?? [], `ServiceCIDR ${name}`, 'spec.cidrs');
    const standing = new Set(this.#warnings.get(name)?.map(textOf));
    this.#fresh.push(...warnings.filter((warning) => !standing.has(textOf(warning))));
    this.#warnings.set(name, warnings);
    if (object) this.#learned.set(name, cidrs);
    else this.#learned.delete(name);
    this.#unite();
  }

  /** What is wrong with the objects; the rest of them counts. */
  get warnings(): Warning[] {
    return [...this.#warnings.values()].flat();
  }

  /** Those that did not stand at the last call. */
  takeFreshWarnings(): Warning[] {
    return this.#fresh.splice(0);
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

function textOf({ field, message }: Warning): string {
  return `${field} ${message}`;
}
