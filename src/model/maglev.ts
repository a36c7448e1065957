// Maglev consistent hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
// NSDI '16, section 3.4). Every node builds the same table from the same set of backends.

/** Table sizes: primes, so that every skip visits every slot. Few of them, so that runs of slots can be reused. */
export const MAGLEV_TABLE_SIZES: readonly number[] = [251, 509, 1021, 2039, 4093, 8191, 16381];
const LARGEST = 16381;

/** Fixed for ever: a change would move flows that were placed by another node or by an older version. */
const OFFSET_SEED = 0x5348_554e;
const SKIP_SEED = 0x5475_5233;

/**
 * The least prime of the list that is at least 100 x backends, so that shares differ by about 1 %; at most 16381, at
 * which shares of n backends differ by n / 16381. 0 backends need no table: 0.
 *
 * Count every backend of the service port, usable or not, where the table should keep its size (and with it almost
 * every choice) while backends become ready and unready.
 */
export function maglevTableSize(backends: number): number {
  if (backends === 0) return 0;
  return MAGLEV_TABLE_SIZES.find((size) => size >= 100 * backends) ?? LARGEST;
}

/**
 * The lookup table: slot -> index into `identities`. Identities are texts such as "10.1.0.2:80" and must be unique;
 * their order changes the numbers in the table, not the backends they stand for. With more identities than slots,
 * which of them get one is decided by their hashes. `size` is a prime above 2.
 */
export function buildMaglevTable(
  identities: readonly string[],
  size: number = maglevTableSize(identities.length),
): Uint32Array {
  const table = new Uint32Array(identities.length === 0 ? 0 : size);
  if (table.length === 0) return table;
  const order = identities.map((identity, index) => ({ index, ...permutationOf(identity, size) }));
  // Turns go by hash, not by the caller's order: every node must give the same backend the first turn.
  order.sort((a, b) => a.first - b.first || a.second - b.second || compare(identities, a.index, b.index));
  fill(table, order);
  return table;
}

interface Permutation {
  readonly index: number;
  readonly first: number;
  readonly second: number;
  readonly offset: number;
  readonly skip: number;
}

function permutationOf(identity: string, size: number): Omit<Permutation, 'index'> {
  const first = hash(identity, OFFSET_SEED);
  const second = hash(identity, SKIP_SEED);
  return { first, second, offset: first % size, skip: (second % (size - 1)) + 1 };
}

function compare(identities: readonly string[], a: number, b: number): number {
  return (identities[a] ?? '') < (identities[b] ?? '') ? -1 : 1;
}

/** The paper's Populate: in turn, every backend takes the next free slot of its own permutation. */
function fill(table: Uint32Array, order: readonly Permutation[]): void {
  const size = table.length;
  const taken = new Uint8Array(size);
  const next = Uint32Array.from(order, ({ offset }) => offset);
  for (let filled = 0; ; ) {
    for (const [turn, { index, skip }] of order.entries()) {
      let slot = next[turn] ?? 0;
      while (taken[slot]) slot = (slot + skip) % size;
      taken[slot] = 1;
      table[slot] = index;
      next[turn] = (slot + skip) % size;
      filled += 1;
      if (filled === size) return;
    }
  }
}

/** MurmurHash3 (x86, 32 bits; the algorithm is in the public domain) of ASCII text. Exported for its test vectors. */
export function hash(text: string, seed: number): number {
  let h = seed;
  let block = 0;
  for (let i = 0; i < text.length; i += 1) {
    block |= (text.charCodeAt(i) & 0xff) << ((i & 3) * 8);
    if ((i & 3) !== 3) continue;
    h ^= scramble(block);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe654_6b64) | 0;
    block = 0;
  }
  if ((text.length & 3) !== 0) h ^= scramble(block);
  h ^= text.length;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function scramble(block: number): number {
  const k = Math.imul(block, 0xcc9e_2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b87_3593);
}
