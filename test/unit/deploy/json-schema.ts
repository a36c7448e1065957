/** The keywords of JSON Schema (draft 7) that the chart's values.schema.json uses; others are an error. */

type Schema = Record<string, unknown>;

const ANNOTATIONS = ['$schema', 'title', 'description', 'then'];

/** Paths of the values that break the schema, each with the keyword that they break. */
export function violations(schema: Schema, value: unknown, path = '$'): string[] {
  const found: string[] = [];
  for (const [keyword, rule] of Object.entries(schema)) {
    if (ANNOTATIONS.includes(keyword)) continue;
    if (keyword === 'if') {
      if (violations(rule as Schema, value, path).length === 0)
        found.push(...violations((schema.then ?? {}) as Schema, value, path));
      continue;
    }
    const check = CHECKS[keyword];
    if (!check) throw new Error(`check schema: keyword ${keyword} is not known to this test`);
    found.push(...check(rule, value, path, schema));
  }
  return found;
}

type Check = (rule: unknown, value: unknown, path: string, schema: Schema) => string[];

const members = (value: unknown): [string, unknown][] =>
  typeOf(value) === 'object' ? Object.entries(value as Schema) : [];

const CHECKS: Record<string, Check> = {
  type: (rule, value, path) => {
    const integer = rule === 'integer' && Number.isInteger(value);
    return integer || typeOf(value) === rule ? [] : [`${path}: type`];
  },
  enum: (rule, value, path) => ((rule as unknown[]).includes(value) ? [] : [`${path}: enum`]),
  const: (rule, value, path) => (rule === value ? [] : [`${path}: const`]),
  required: (rule, value, path) =>
    (rule as string[])
      .filter((name) => !members(value).some(([key]) => key === name))
      .map((name) => `${path}.${name}: required`),
  properties: (rule, value, path) =>
    members(value).flatMap(([name, member]) => {
      const schema = (rule as Record<string, Schema>)[name];
      return schema ? violations(schema, member, `${path}.${name}`) : [];
    }),
  additionalProperties: (rule, value, path, schema) =>
    members(value)
      .filter(([name]) => !(name in ((schema.properties ?? {}) as Schema)))
      .flatMap(([name, member]) =>
        rule === false
          ? [`${path}.${name}: additionalProperties`]
          : violations(rule as Schema, member, `${path}.${name}`),
      ),
  items: (rule, value, path) =>
    Array.isArray(value) ? value.flatMap((item, i) => violations(rule as Schema, item, `${path}[${i}]`)) : [],
  pattern: (rule, value, path) =>
    typeof value !== 'string' || new RegExp(rule as string).test(value) ? [] : [`${path}: pattern`],
  minLength: (rule, value, path) =>
    typeof value !== 'string' || value.length >= (rule as number) ? [] : [`${path}: minLength`],
  minimum: (rule, value, path) =>
    typeof value !== 'number' || value >= (rule as number) ? [] : [`${path}: minimum`],
  maximum: (rule, value, path) =>
    typeof value !== 'number' || value <= (rule as number) ? [] : [`${path}: maximum`],
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
