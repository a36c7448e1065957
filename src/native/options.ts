/** Refuses misspelled options: `load: unknown option "rodatta" (known: path, rodata)`. */
export function checkOptions(call: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new TypeError(`${call}: unknown option "${key}" (known: ${known.join(', ')})`);
    }
  }
}

/** An integer in [min, max]. */
export function checkInteger(
  call: string,
  name: string,
  value: unknown,
  min: number,
  max = 0xffffffff,
): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${call}: ${name} must be an integer from ${min} to ${max}, got ${String(value)}`);
  }
  return value;
}

export function checkChoice<T extends string>(
  call: string,
  name: string,
  value: unknown,
  choices: readonly T[],
): T {
  if (!choices.includes(value as T)) {
    throw new TypeError(`${call}: ${name} must be one of ${choices.join(', ')}, got ${String(value)}`);
  }
  return value as T;
}
