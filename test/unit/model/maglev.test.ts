import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildMaglevTable, hash, MAGLEV_TABLE_SIZES, maglevTableSize } from '../../../src/model/maglev.js';

function backends(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}:8080`);
}

function shares(table: Uint32Array, count: number): number[] {
  const counts = new Array<number>(count).fill(0);
  for (const index of table) counts[index] = (counts[index] ?? 0) + 1;
  return counts;
}

/** Slots that name another backend although the one they named is still there. */
function disrupted(before: string[], after: string[], size: number): number {
  const old = buildMaglevTable(before, size);
  const now = buildMaglevTable(after, size);
  let moved = 0;
  for (const [slot, index] of old.entries()) {
    const backend = before[index] ?? '';
    if (after.includes(backend) && after[now[slot] ?? -1] !== backend) moved += 1;
  }
  return moved / size;
}

describe('ARCHITECTURE 2: Maglev table sizes', () => {
  it('are primes, ascending, at most 16381', () => {
    const isPrime = (n: number): boolean => {
      for (let d = 2; d * d <= n; d += 1) if (n % d === 0) return false;
      return n > 1;
    };
    expect(MAGLEV_TABLE_SIZES.every(isPrime)).toBe(true);
    expect([...MAGLEV_TABLE_SIZES].sort((a, b) => a - b)).toEqual(MAGLEV_TABLE_SIZES);
    expect(MAGLEV_TABLE_SIZES.at(-1)).toBe(16381);
  });

  it.each([
    [0, 0],
    [1, 251],
    [2, 251],
    [3, 509],
    [5, 509],
    [6, 1021],
    [10, 1021],
    [11, 2039],
    [100, 16381],
    [163, 16381],
    [164, 16381],
    [5000, 16381],
  ])('%d backends: %d', (count, size) => expect(maglevTableSize(count)).toBe(size));
});

describe('Maglev hash', () => {
  // Published test vectors of MurmurHash3 x86 32.
  it.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['test', 0, 0xba6bd213],
    ['test', 0x9747b28c, 0x704b81dc],
    ['Hello, world!', 0, 0xc0363e43],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
    ['a', 0x9747b28c, 0x7fa09ea6],
    ['ab', 0x9747b28c, 0x74875592],
    ['abc', 0x9747b28c, 0xc84a62dd],
  ])('of %j with seed %d', (text, seed, expected) => expect(hash(text, seed)).toBe(expected));
});

describe('SEMANTICS 5: even spread by Maglev', () => {
  it.each([1, 2, 3, 5, 10, 50, 100, 163])(
    '%d backends: every share within 1 %% of the mean, give or take a slot',
    (count) => {
      const table = buildMaglevTable(backends(count));
      const counts = shares(table, count);
      const mean = table.length / count;
      expect(Math.max(...counts)).toBeLessThanOrEqual(Math.ceil(mean));
      expect(Math.min(...counts)).toBeGreaterThanOrEqual(Math.floor(mean));
      expect(counts.reduce((a, b) => a + b)).toBe(table.length);
    },
  );

  it('of 1,000 backends every one has 16 or 17 slots', () => {
    const counts = shares(buildMaglevTable(backends(1000)), 1000);
    expect(new Set(counts)).toEqual(new Set([16, 17]));
  });

  it('no backend, no table', () => expect(buildMaglevTable([])).toEqual(new Uint32Array()));

  it('more backends than slots fill every slot with a backend of its own', () => {
    const table = buildMaglevTable(backends(400), 251);
    expect(new Set(table).size).toBe(251);
  });
});

describe('Maglev disruption: a change moves few of the others', () => {
  it.each([10, 50, 100])('one of %d backends goes', (count) => {
    const all = backends(count);
    const moved = all.slice(0, 10).map((gone) =>
      disrupted(
        all,
        all.filter((backend) => backend !== gone),
        maglevTableSize(count),
      ),
    );
    expect(Math.max(...moved)).toBeLessThan(0.05);
  });

  it.each([10, 50, 100])('one joins %d backends', (count) => {
    const all = backends(count + 1);
    const size = maglevTableSize(count + 1);
    const old = buildMaglevTable(all.slice(0, count), size);
    const now = buildMaglevTable(all, size);
    let moved = 0;
    for (const [slot, index] of now.entries()) if (index !== count && old[slot] !== index) moved += 1;
    expect(moved / size).toBeLessThan(0.05);
  });
});

describe('Maglev determinism: every node builds the same table', () => {
  it('does not depend on the order of the backends', () => {
    const all = backends(20);
    const expected = Array.from(buildMaglevTable(all), (index) => all[index]);
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
        expect(Array.from(buildMaglevTable(shuffled), (index) => shuffled[index])).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  });

  // A change of these values moves flows between nodes of different versions: do not accept it lightly.
  it('golden tables', () => {
    const digest = (table: Uint32Array): string =>
      createHash('sha256').update(Buffer.from(table.buffer)).digest('hex').slice(0, 16);
    expect(
      Array.from(buildMaglevTable(['10.1.0.1:80', '10.1.0.2:80', '[fd00::1]:80'], 11)),
    ).toMatchInlineSnapshot(`
      [
        1,
        1,
        0,
        2,
        0,
        2,
        1,
        0,
        2,
        2,
        0,
      ]
    `);
    expect(digest(buildMaglevTable(backends(3)))).toMatchInlineSnapshot(`"b20b7f6303132590"`);
    expect(digest(buildMaglevTable(backends(100)))).toMatchInlineSnapshot(`"232b4327b3ff72d5"`);
  });
});
