// Reading untyped JSON field by field. A field of the wrong shape throws a FieldError that knows its path, so
// that the operator is told `spec.ports[1].port`, and a manifest source can find the line.

export type FieldPath = readonly (string | number)[];

export class FieldError extends Error {
  constructor(
    readonly path: FieldPath,
    message: string,
  ) {
    super(message);
    this.name = 'FieldError';
  }
}

/** One thing wrong in an object. */
export interface Problem {
  path: FieldPath;
  message: string;
}

/** `['spec', 'ports', 0, 'port']` -> `spec.ports[0].port`; a key that is no word is quoted. */
export function renderPath(path: FieldPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z_]\w*$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** A JSON value and the way to it. null counts as absent everywhere, as in the Kubernetes API. */
export class Field {
  constructor(
    readonly value: unknown,
    readonly path: FieldPath = [],
  ) {}

  get present(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  fail(message: string): never {
    throw new FieldError(this.path, message);
  }

  /** A member of an object; absent when the object itself is absent. */
  get(key: string): Field {
    if (!this.present) return new Field(undefined, [...this.path, key]);
    return new Field(this.record()[key], [...this.path, key]);
  }

  record(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      return this.fail(`must be a mapping, is ${describe(this.value)}; indent its fields below it`);
    }
    return this.value as Record<string, unknown>;
  }

  /** The elements of a list; none when absent. */
  items(): Field[] {
    if (!this.present) return [];
    if (!Array.isArray(this.value)) {
      return this.fail(`must be a list, is ${describe(this.value)}; write one "- " per entry`);
    }
    return this.value.map((element, index) => new Field(element, [...this.path, index]));
  }

  optionalString(): string | undefined {
    if (!this.present) return undefined;
    if (typeof this.value !== 'string') {
      return this.fail(`must be text, is ${describe(this.value)}; put it in quotes`);
    }
    return this.value;
  }

  string(): string {
    const text = this.optionalString();
    if (text === undefined || text === '') return this.fail('is missing; set it');
    return text;
  }

  optionalBoolean(): boolean | undefined {
    if (!this.present) return undefined;
    if (typeof this.value !== 'boolean') {
      return this.fail(`must be true or false, is ${describe(this.value)}`);
    }
    return this.value;
  }

  /** A whole number in [low, high]; undefined when absent. */
  optionalInteger(low: number, high: number): number | undefined {
    if (!this.present) return undefined;
    if (typeof this.value !== 'number' || !Number.isInteger(this.value)) {
      return this.fail(`must be a whole number, is ${describe(this.value)}; write it without quotes`);
    }
    if (this.value < low || this.value > high) {
      return this.fail(`is ${this.value}; use a number from ${low} to ${high}`);
    }
    return this.value;
  }

  /** One of a few words; `fallback` when absent or empty. */
  oneOf<T extends string>(words: readonly T[], fallback?: T): T {
    const text = this.optionalString();
    if (text === undefined || text === '') {
      if (fallback !== undefined) return fallback;
      return this.fail(`is missing; use one of ${words.join(', ')}`);
    }
    const found = words.find((word) => word === text);
    return found ?? this.fail(`is ${JSON.stringify(text)}; use one of ${words.join(', ')}`);
  }

  /** A map of text to text; undefined when absent. */
  optionalStringMap(): Record<string, string> | undefined {
    if (!this.present) return undefined;
    const record = this.record();
    for (const key of Object.keys(record)) {
      if (typeof record[key] !== 'string') {
        new Field(record[key], [...this.path, key]).fail(
          `must be text, is ${describe(record[key])}; put it in quotes`,
        );
      }
    }
    return record as Record<string, string>;
  }

  /** An RFC 3339 time as milliseconds since 1970; undefined when absent. */
  optionalTimeMs(): number | undefined {
    if (!this.present) return undefined;
    // A YAML reader with the timestamp tag on may already have made a Date of it.
    const ms = this.value instanceof Date ? this.value.getTime() : Date.parse(this.optionalString() ?? '');
    if (Number.isNaN(ms)) return this.fail('is no time; write it like 2026-01-31T12:00:00Z');
    return ms;
  }
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'missing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return `the text ${JSON.stringify(value.slice(0, 60))}`;
  return `the ${typeof value} ${String(value)}`;
}
