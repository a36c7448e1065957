/** The bench's arithmetic. Pure. */

/** Middle value; the mean of the two middle ones of an even number. @throws RangeError on an empty list. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('compute median: no values (EINVAL).');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Median absolute deviation from the median, not scaled: half of the values lie within it. */
export function mad(values: readonly number[]): number {
  const center = median(values);
  return median(values.map((v) => Math.abs(v - center)));
}

export interface Spread {
  median: number;
  mad: number;
  rounds: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), mad: mad(values), rounds: values.length };
}

/** Round by round: what both measured within the same moment is compared, so that slow drifts cancel. */
export function differences(values: readonly number[], baselines: readonly number[]): number[] {
  if (values.length !== baselines.length) {
    throw new RangeError(
      `subtract baseline: ${values.length} values, ${baselines.length} baselines (EINVAL).`,
    );
  }
  return values.map((v, i) => v - (baselines[i] as number));
}

/** Round by round `value / reference`. A reference of 0 has no ratio and is refused. */
export function ratios(values: readonly number[], references: readonly number[]): number[] {
  if (values.length !== references.length) {
    throw new RangeError(
      `compute ratios: ${values.length} values, ${references.length} references (EINVAL).`,
    );
  }
  return values.map((v, i) => {
    const reference = references[i] as number;
    if (reference === 0) throw new RangeError(`compute ratios: reference ${i} is 0 (EDOM).`);
    return v / reference;
  });
}

/** The order of one round: every item once, each round beginning with another. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const from = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(from), ...items.slice(0, from)];
}
