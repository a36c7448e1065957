import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdPool } from '../../../src/plan/ids.js';
import { type Extent, RunAllocator } from '../../../src/plan/runs.js';

describe('ids', () => {
  it('go round before one comes again', () => {
    const pool = new IdPool(5);
    expect([pool.take(), pool.take(), pool.take()]).toEqual([1, 2, 3]);
    pool.giveBack(1);
    pool.giveBack(2);
    expect([pool.take(), pool.take(), pool.take(), pool.take(), pool.take()]).toEqual([
      4,
      5,
      1,
      2,
      undefined,
    ]);
    expect(pool.used).toBe(5);
  });

  it('are found in a nearly full table, and a double return is refused', () => {
    const pool = new IdPool(1000);
    for (let i = 0; i < 1000; i++) pool.take();
    pool.giveBack(640);
    expect(pool.take()).toBe(640);
    expect(pool.take()).toBeUndefined();
    pool.giveBack(3);
    expect(() => pool.giveBack(3)).toThrow('free id 3');
  });

  it('are unique whatever is taken, given back and marked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 70 }),
        fc.array(fc.nat(200), { maxLength: 300 }),
        (max, steps) => {
          const pool = new IdPool(max);
          const out = new Set<number>();
          for (const step of steps) {
            if (step % 3 !== 0) {
              const id = pool.take();
              if (id === undefined) expect(out.size).toBe(max);
              else {
                expect(out.has(id)).toBe(false);
                expect(id >= 1 && id <= max).toBe(true);
                out.add(id);
              }
            } else {
              const id = [...out][step % Math.max(out.size, 1)];
              if (id === undefined) continue;
              pool.giveBack(id);
              out.delete(id);
            }
            expect(pool.used).toBe(out.size);
          }
        },
      ),
    );
  });
});

describe('slot runs', () => {
  it('never overlap and all come back as one piece', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 300 })), { maxLength: 200 }),
        (steps) => {
          const size = 4096;
          const runs = new RunAllocator(size);
          const out: Extent[] = [];
          const owner = new Uint8Array(size);
          for (const [takes, n] of steps) {
            if (takes || out.length === 0) {
              const base = runs.take(n);
              if (base === undefined) continue;
              expect(base >= 1 && base + n <= size).toBe(true);
              for (let i = base; i < base + n; i++) expect(owner[i]).toBe(0);
              owner.fill(1, base, base + n);
              out.push({ base, count: n });
            } else {
              const [run] = out.splice(n % out.length, 1) as [Extent];
              owner.fill(0, run.base, run.base + run.count);
              runs.giveBack(run);
            }
            expect(runs.used).toBe(out.reduce((sum, r) => sum + r.count, 0));
          }
          for (const run of out) runs.giveBack(run);
          expect(runs.take(size - 1)).toBe(1);
          expect(runs.take(1)).toBeUndefined();
        },
      ),
    );
  });

  it('are rebuilt around those that are out', () => {
    const runs = new RunAllocator(100, [
      { base: 10, count: 5 },
      { base: 15, count: 5 },
      { base: 90, count: 10 },
    ]);
    expect(runs.used).toBe(20);
    expect(runs.take(70)).toBe(20);
    expect(runs.take(9)).toBe(1);
    expect(runs.take(1)).toBeUndefined();
  });

  it('keep a table usable under long churn of mixed sizes', () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed / 0x7fffffff;
    };
    const sizes = [1, 2, 3, 5, 8, 10, 30, 251, 509, 1021];
    const size = 100_000;
    const runs = new RunAllocator(size);
    const out: Extent[] = [];
    for (let i = 0; i < 50_000; i++) {
      const isFull = runs.used > size * 0.7;
      if (!isFull && (out.length < 10 || random() < 0.55)) {
        const count = sizes[Math.floor(random() * sizes.length)] as number;
        const base = runs.take(count);
        expect(base, `${runs.used} of ${size} in use, ${count} wanted`).toBeDefined();
        out.push({ base: base as number, count });
      } else runs.giveBack(out.splice(Math.floor(random() * out.length), 1)[0] as Extent);
    }
  });
});
