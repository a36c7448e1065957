import {
  ADDRESS_F_CLUSTER_IP,
  ADDRESS_F_ECHO,
  ADDRESS_F_EXTERNAL,
  ADDRESS_F_LOOPBACK,
  ADDRESS_F_NODE,
  ADDRESS_F_NODE_PORTS,
  ADDRESS_F_PRIMARY,
  type LbAddress,
} from '../abi/generated.js';
import type { Op } from './ops.js';

/** One of this node's addresses. */
export interface NodeAddress {
  /** Canonical text. */
  ip: string;
  /** NodePort frontends answer on it. */
  nodePorts: boolean;
  /** Serves clients of this node only. */
  loopback: boolean;
  /** The Node's InternalIP. */
  primary: boolean;
}

interface Entry {
  clusterIps: number;
  externals: number;
  /** Frontends of either kind that have a usable backend. */
  usable: number;
  nodeFlags: number;
  /** A cluster IP that another proxy serves: in the map without flags, so that it is nobody unknown. */
  foreign: boolean;
  /** What the map holds. */
  actual?: LbAddress;
}

export const NODE_FLAGS = ADDRESS_F_NODE | ADDRESS_F_NODE_PORTS | ADDRESS_F_LOOPBACK | ADDRESS_F_PRIMARY;

/** lb_addresses: the frontends' addresses and the node's, merged and counted. */
export class AddressBook {
  readonly #entries = new Map<string, Entry>();
  readonly #dirty = new Set<string>();
  /** Those with node flags: few, and walked whenever the node's addresses change. */
  readonly #node = new Set<string>();
  readonly #foreign = new Set<string>();

  /** Is it in the map, or will it be once the pending changes are written? */
  has(ip: string): boolean {
    return this.#entries.has(ip);
  }

  /** Entries that the map holds at the busiest moment of the pending change. */
  get size(): number {
    return this.#entries.size;
  }

  count(ip: string, isClusterIp: boolean, isUsable: boolean, by: 1 | -1): void {
    const entry = this.#entry(ip);
    if (isClusterIp) entry.clusterIps += by;
    else entry.externals += by;
    if (isUsable) entry.usable += by;
    this.#dirty.add(ip);
  }

  /** @returns addresses for which there is no room. */
  setNode(addresses: readonly NodeAddress[], room: number): string[] {
    const flags = new Map<string, number>();
    for (const a of addresses) {
      flags.set(a.ip, (flags.get(a.ip) ?? 0) | nodeFlagsOf(a));
    }
    for (const ip of this.#node) {
      if (flags.has(ip)) continue;
      this.#entry(ip).nodeFlags = 0;
      this.#node.delete(ip);
      this.#dirty.add(ip);
    }
    const left: string[] = [];
    for (const [ip, value] of flags) {
      if (!this.has(ip) && this.size >= room) {
        left.push(ip);
        continue;
      }
      const entry = this.#entry(ip);
      this.#node.add(ip);
      if (entry.nodeFlags === value) continue;
      entry.nodeFlags = value;
      this.#dirty.add(ip);
    }
    return left;
  }

  /** Cluster IPs that another proxy serves, whole. @returns addresses for which there is no room. */
  setForeign(ips: readonly string[], room: number): string[] {
    const wanted = new Set(ips);
    for (const ip of this.#foreign) {
      if (wanted.has(ip)) continue;
      this.#entry(ip).foreign = false;
      this.#foreign.delete(ip);
      this.#dirty.add(ip);
    }
    const left: string[] = [];
    for (const ip of wanted) {
      if (this.#foreign.has(ip)) continue;
      if (!this.has(ip) && this.size >= room) {
        left.push(ip);
        continue;
      }
      this.#entry(ip).foreign = true;
      this.#foreign.add(ip);
      this.#dirty.add(ip);
    }
    return left;
  }

  /** After a restart: what the map holds. Node flags stay until the node's addresses are known again. */
  restore(ip: string, actual: LbAddress): void {
    const entry = this.#entry(ip);
    entry.actual = actual;
    entry.nodeFlags = actual.flags & NODE_FLAGS;
    if (entry.nodeFlags !== 0) this.#node.add(ip);
  }

  /** Marks everything to be compared with the map at the next drain. */
  touchAll(): void {
    for (const ip of this.#entries.keys()) this.#dirty.add(ip);
  }

  /**
   * Ops for everything that changed: before the frontends flip an entry carries its old and its new
   * flags, afterwards only the new ones. Not so ADDRESS_F_CLUSTER_IP, which has unknown ports refused: a port that is
   * not there yet, or not any more, may be another proxy's.
   */
  drain(before: Op[], after: Op[]): void {
    for (const ip of this.#dirty) {
      const entry = this.#entries.get(ip);
      if (!entry) continue;
      const want = wanted(entry);
      const had = entry.actual;
      if (want) {
        const union: LbAddress = {
          flags: withoutRefusal(want.flags, had?.flags ?? 0),
          frontends: Math.max(want.frontends, had?.frontends ?? 0),
        };
        if (!same(union, had)) before.push(put(ip, union, had !== undefined));
        if (!same(union, want)) after.push(put(ip, want, true));
        entry.actual = want;
      } else {
        if (had && had.flags & ADDRESS_F_CLUSTER_IP)
          before.push(put(ip, { ...had, flags: withoutRefusal(0, had.flags) }, true));
        if (had) after.push({ kind: 'delete', map: 'lb_addresses', key: ip });
        this.#entries.delete(ip);
      }
    }
    this.#dirty.clear();
  }

  #entry(ip: string): Entry {
    let entry = this.#entries.get(ip);
    if (!entry) {
      entry = { clusterIps: 0, externals: 0, usable: 0, nodeFlags: 0, foreign: false };
      this.#entries.set(ip, entry);
    }
    return entry;
  }
}

/** Both, but unknown ports are refused only if both have it so. */
function withoutRefusal(want: number, had: number): number {
  return ((want | had) & ~ADDRESS_F_CLUSTER_IP) | (want & had & ADDRESS_F_CLUSTER_IP);
}

function nodeFlagsOf(a: NodeAddress): number {
  return (
    ADDRESS_F_NODE |
    (a.nodePorts ? ADDRESS_F_NODE_PORTS : 0) |
    (a.loopback ? ADDRESS_F_LOOPBACK : 0) |
    (a.primary ? ADDRESS_F_PRIMARY : 0)
  );
}

function wanted(entry: Entry | undefined): LbAddress | undefined {
  if (!entry) return undefined;
  const echo = entry.usable > 0 && (entry.nodeFlags & ADDRESS_F_NODE) === 0;
  const flags =
    entry.nodeFlags |
    (entry.clusterIps > 0 ? ADDRESS_F_CLUSTER_IP : 0) |
    (entry.externals > 0 ? ADDRESS_F_EXTERNAL : 0) |
    (echo ? ADDRESS_F_ECHO : 0);
  return flags === 0 && !entry.foreign ? undefined : { flags, frontends: entry.clusterIps + entry.externals };
}

function same(a: LbAddress, b: LbAddress | undefined): boolean {
  return b !== undefined && a.flags === b.flags && a.frontends === b.frontends;
}

function put(ip: string, value: LbAddress, replaces: boolean): Op {
  return { kind: 'put', map: 'lb_addresses', key: ip, value, replaces };
}
