// What the model knows of nodes, and what a change of one means.

import { type Address, type Cidr, isUnparsable, parseAddress } from './addresses.js';
import { CidrSet, parseCidrs } from './cidrSet.js';
import { diffKeys } from './multiIndex.js';
import type { NodeObject } from './objects.js';
import { type Labels, labelsOrName } from './topology.js';

interface KnownNode {
  readonly labels: Labels;
  readonly internalIPs: readonly string[];
  readonly podCidrs: ReadonlyMap<string, Cidr>;
}

export interface NodeEffect {
  /** Label keys whose value is another one now. */
  readonly labels: readonly string[];
  /** Pod ranges that came or went. */
  readonly podCidrs: readonly Cidr[];
  readonly addresses: boolean;
}

export class Nodes {
  readonly #nodes = new Map<string, KnownNode>();
  /** Pod ranges of all nodes. */
  readonly podCidrs = new CidrSet();

  /** undefined for a node that no object describes. */
  labelsOf = (name: string): Labels | undefined => this.#nodes.get(name)?.labels;

  addressesOf(name: string): Address[] {
    return readAddressList(this.#nodes.get(name)?.internalIPs ?? []);
  }

  set(name: string, object: NodeObject | undefined): NodeEffect {
    const old = this.#nodes.get(name);
    const now = object && readNode(object);
    if (now) this.#nodes.set(name, now);
    else this.#nodes.delete(name);
    const podCidrs: Cidr[] = [];
    const before = old?.podCidrs ?? new Map<string, Cidr>();
    const after = now?.podCidrs ?? new Map<string, Cidr>();
    const update = (cidr: Cidr | undefined, apply: (cidr: Cidr) => void): void => {
      if (cidr === undefined) return;
      apply(cidr);
      podCidrs.push(cidr);
    };
    diffKeys(
      before.keys(),
      after.keys(),
      (key) => update(before.get(key), (cidr) => this.podCidrs.delete(cidr)),
      (key) => update(after.get(key), (cidr) => this.podCidrs.add(cidr)),
    );
    return {
      labels: changedLabels(labelsOrName(name, old?.labels), labelsOrName(name, now?.labels)),
      podCidrs,
      addresses: (old?.internalIPs ?? []).join() !== (now?.internalIPs ?? []).join(),
    };
  }
}

function readNode(object: NodeObject): KnownNode {
  const { cidrs } = parseCidrs(object.podCIDRs, `Node ${object.name}`, 'spec.podCIDRs');
  return {
    labels: object.labels,
    internalIPs: object.internalIPs,
    podCidrs: new Map(cidrs.map((cidr) => [cidr.text, cidr])),
  };
}

function changedLabels(before: Labels, after: Labels): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].filter((key) => before[key] !== after[key]);
}

/** What is no address is left out: it names no one. */
export function readAddressList(texts: readonly string[]): Address[] {
  return texts.map(parseAddress).filter((address): address is Address => !isUnparsable(address));
}
