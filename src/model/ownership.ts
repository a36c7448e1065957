// Who keeps an address, port and protocol that two Services claim. SEMANTICS section 2.

import type { ClaimRank } from './frontends.js';

interface Claimant {
  readonly createdMs: number;
  /** By claim key. */
  readonly ranks: ReadonlyMap<string, ClaimRank>;
}

/** Kept only for keys with two claimants or more; a key with one needs no more than that one's name. */
interface Contest {
  owner: string;
  readonly claimants: Set<string>;
}

/**
 * The claims of all Services. A cluster IP wins over an external one, then the older Service over the younger, then
 * the one whose namespace/name sorts first: an order without ties, so every node and every restart agrees.
 */
export class Ownership {
  readonly #claimants = new Map<string, Claimant>();
  readonly #keys = new Map<string, string | Contest>();

  /** Service (namespace/name) that keeps the key. */
  owner(key: string): string | undefined {
    const entry = this.#keys.get(key);
    return typeof entry === 'object' ? entry.owner : entry;
  }

  /**
   * Replaces the claims of a Service; an empty map removes it. Returns the *other* Services for which an owner
   * changed: those that lost or gained a key, and those that now lose it to someone else.
   */
  set(service: string, createdMs: number, ranks: ReadonlyMap<string, ClaimRank>): Set<string> {
    const before = this.#claimants.get(service)?.ranks ?? new Map<string, ClaimRank>();
    const affected = new Set<string>();
    if (ranks.size > 0) this.#claimants.set(service, { createdMs, ranks });
    for (const key of before.keys()) if (!ranks.has(key)) this.#withdraw(key, service, affected);
    // Kept keys as well: the Service may have become older or changed rank.
    for (const key of ranks.keys()) this.#enter(key, service, affected);
    if (ranks.size === 0) this.#claimants.delete(service);
    affected.delete(service);
    return affected;
  }

  #enter(key: string, service: string, affected: Set<string>): void {
    const entry = this.#keys.get(key);
    if (entry === undefined || entry === service) this.#keys.set(key, service);
    else if (typeof entry === 'object') {
      entry.claimants.add(service);
      this.#decide(key, entry, affected);
    } else {
      const contest = { owner: entry, claimants: new Set([entry, service]) };
      this.#keys.set(key, contest);
      this.#decide(key, contest, affected);
    }
  }

  #withdraw(key: string, service: string, affected: Set<string>): void {
    const entry = this.#keys.get(key);
    if (typeof entry !== 'object') {
      this.#keys.delete(key);
      return;
    }
    entry.claimants.delete(service);
    this.#decide(key, entry, affected);
    if (entry.claimants.size === 1) this.#keys.set(key, entry.owner);
  }

  #decide(key: string, contest: Contest, affected: Set<string>): void {
    let owner: string | undefined;
    for (const claimant of contest.claimants) {
      if (owner === undefined || this.#isBefore(key, claimant, owner)) owner = claimant;
    }
    if (owner === undefined || owner === contest.owner) return;
    contest.owner = owner;
    for (const claimant of contest.claimants) affected.add(claimant);
  }

  #isBefore(key: string, a: string, b: string): boolean {
    const left = this.#claimants.get(a);
    const right = this.#claimants.get(b);
    const rank = (left?.ranks.get(key) ?? 1) - (right?.ranks.get(key) ?? 1);
    if (rank !== 0) return rank < 0;
    const age = (left?.createdMs ?? 0) - (right?.createdMs ?? 0);
    return age !== 0 ? age < 0 : a < b;
  }
}
