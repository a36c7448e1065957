import { describe, expect, it } from 'vitest';
import { differences, mad, median, ratios, rotated, spread } from '../../../bench/stats.js';

describe('the arithmetic of the bench', () => {
  it('takes the middle value, or the mean of the two middle ones, in any order', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([10, 2, 4, 1])).toBe(3);
    expect(median([7])).toBe(7);
    expect(median([100, 9, 10, 11])).toBe(10.5);
  });

  it('leaves its input as it was', () => {
    const values = [3, 1, 2];
    median(values);
    mad(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it('refuses to make up a median of nothing', () => {
    expect(() => median([])).toThrow(/no values/);
  });

  it('measures spread by the median distance from the median: one outlier changes nothing', () => {
    expect(mad([1, 2, 3, 4, 5])).toBe(1);
    expect(mad([1, 2, 3, 4, 5000])).toBe(1);
    expect(mad([4, 4, 4])).toBe(0);
    expect(spread([1, 2, 3, 4, 5000])).toEqual({ median: 3, mad: 1, rounds: 5 });
  });

  it('subtracts the baseline round by round, so that a drift of both cancels', () => {
    expect(differences([130, 230, 330], [30, 130, 230])).toEqual([100, 100, 100]);
    expect(differences([10], [12])).toEqual([-2]);
    expect(() => differences([1, 2], [1])).toThrow(/2 values, 1 baselines/);
  });

  it('divides round by round', () => {
    expect(ratios([50, 90], [100, 60])).toEqual([0.5, 1.5]);
    expect(() => ratios([1], [1, 2])).toThrow(/1 values, 2 references/);
    expect(() => ratios([1, 1], [1, 0])).toThrow(/reference 1 is 0/);
  });

  it('begins each round with another item and leaves none out', () => {
    const items = ['a', 'b', 'c'];
    expect([0, 1, 2, 3].map((round) => rotated(items, round).join(''))).toEqual(['abc', 'bca', 'cab', 'abc']);
    expect(rotated([], 4)).toEqual([]);
  });
});
