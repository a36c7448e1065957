/** What `promtool check metrics` looks at, as a parser of its own: text in, problems out. */

export interface Series {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  name: string;
  type: string;
  help: string;
  series: Series[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)/y;
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];

/** Parses text format 0.0.4. @returns families by name, and everything that is wrong with the text. */
export function parseExposition(text: string): { families: Map<string, Family>; problems: string[] } {
  const problems: string[] = [];
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current: Family | undefined;
  if (!text.endsWith('\n')) problems.push('does not end with a newline');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const help = /^# HELP (\S+) (.*)$/.exec(line);
    if (help) {
      const [, name = '', words = ''] = help;
      if (families.has(name)) problems.push(`${name}: two HELP lines`);
      if (words.trim() === '') problems.push(`${name}: empty HELP`);
      current = { name, type: '', help: words, series: [] };
      families.set(name, current);
      continue;
    }
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type) {
      const [, name = '', word = ''] = type;
      if (current?.name !== name) problems.push(`${name}: TYPE without HELP before it`);
      else if (current.type !== '') problems.push(`${name}: two TYPE lines`);
      if (!TYPES.includes(word)) problems.push(`${name}: unknown type ${word}`);
      if (current) current.type = word;
      continue;
    }
    if (line.startsWith('#')) continue;
    const series = parseSample(line, problems);
    if (!series) continue;
    if (!current || !belongs(series.name, current))
      problems.push(`${series.name}: sample outside of its family`);
    const id = `${series.name} ${JSON.stringify(Object.entries(series.labels).sort())}`;
    if (seen.has(id)) problems.push(`${id}: twice`);
    seen.add(id);
    current?.series.push(series);
  }
  for (const family of families.values()) problems.push(...lint(family));
  return { families, problems };
}

function parseSample(line: string, problems: string[]): Series | undefined {
  const match = SAMPLE.exec(line);
  if (!match) {
    problems.push(`not a sample: ${line}`);
    return undefined;
  }
  const [, name = '', inner = '', number = ''] = match;
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < inner.length) {
    const at = LABEL.lastIndex;
    const label = LABEL.exec(inner);
    if (!label || label.index !== at) {
      problems.push(`labels of ${line}`);
      break;
    }
    const [, key = '', value = ''] = label;
    if (key in labels) problems.push(`${name}: label ${key} twice`);
    labels[key] = value;
  }
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  // prom-client writes "Nan", which Prometheus takes.
  if (!/^nan$/i.test(number) && Number.isNaN(value)) problems.push(`${name}: ${number} is no number`);
  return { name, labels, value };
}

function belongs(name: string, { name: family, type }: Family): boolean {
  if (type === 'histogram') return [`${family}_bucket`, `${family}_sum`, `${family}_count`].includes(name);
  if (type === 'summary') return [family, `${family}_sum`, `${family}_count`].includes(name);
  return name === family;
}

function lint({ name, type, series }: Family): string[] {
  const problems: string[] = [];
  if (!NAME.test(name)) problems.push(`${name}: not a metric name`);
  if (type === '') problems.push(`${name}: no TYPE`);
  if (type === 'counter' && !name.endsWith('_total')) problems.push(`${name}: a counter not named _total`);
  if (/milliseconds|_ms$|kilobytes/.test(name)) problems.push(`${name}: not a base unit`);
  if (type === 'counter' && series.some(({ value }) => value < 0)) problems.push(`${name}: negative counter`);
  if (type === 'histogram') problems.push(...lintHistogram(name, series));
  return problems;
}

function lintHistogram(name: string, series: Series[]): string[] {
  const problems: string[] = [];
  const groups = new Map<string, { buckets: [number, number][]; count?: number }>();
  for (const { name: sample, labels, value } of series) {
    const { le, ...others } = labels;
    const key = JSON.stringify(Object.entries(others).sort());
    const group = groups.get(key) ?? { buckets: [] };
    groups.set(key, group);
    if (sample.endsWith('_bucket'))
      group.buckets.push([le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), value]);
    if (sample.endsWith('_count')) group.count = value;
  }
  for (const [key, { buckets, count }] of groups) {
    for (let i = 1; i < buckets.length; i++) {
      const [before, now] = [buckets[i - 1] as [number, number], buckets[i] as [number, number]];
      if (now[0] <= before[0] || now[1] < before[1]) problems.push(`${name}${key}: buckets out of order`);
    }
    const last = buckets.at(-1);
    if (last?.[0] !== Number.POSITIVE_INFINITY) problems.push(`${name}${key}: no +Inf bucket`);
    if (last?.[1] !== count) problems.push(`${name}${key}: +Inf bucket is not the count`);
  }
  return problems;
}
