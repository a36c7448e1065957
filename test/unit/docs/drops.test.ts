import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../../../box/index.js';
import { parseEvidence, problemsOf, readTables, sourceOf, type TableRow } from './tables.js';

const HEADER = sourceOf('bpf/abi/verdict.h');
const ROWS = readTables('docs/DROPS.md');

/** Names of an enum of the header, as users see them. */
function namesOf(prefix: string): string[] {
  return [...HEADER.matchAll(new RegExp(`^\\t${prefix}(\\w+) = \\d+,`, 'gm'))]
    .map(([, name]) => (name as string).toLowerCase())
    .filter((name) => name !== 'none' && name !== 'max');
}

function rowsOf(heading: string): TableRow[] {
  return ROWS.filter((row) => row.heading === heading);
}

const nameOf = (row: TableRow): string => (row.cells[0] as string).replaceAll('`', '');

describe.each([
  ['Why a packet was dropped', 'DROP_REASON_', 4],
  ['What became of the others', 'PATH_', 3],
])('docs/DROPS.md: %s', (heading, prefix, cells) => {
  const rows = rowsOf(heading);

  it('has every name of verdict.h, in its order, and no other', () => {
    expect(namesOf(prefix).length).toBeGreaterThan(10);
    expect(rows.map(nameOf)).toEqual(namesOf(prefix));
  });

  it.each(rows.map((row) => [nameOf(row), row] as const))('%s: a test brings it about', (name, row) => {
    expect(row.cells).toHaveLength(cells);
    const cell = row.cells.at(-1) as string;
    // The one that only a refusal of the kernel itself would give.
    if (name === 'rewrite_failed') {
      expect(cell).toMatch(/^none: ./);
      return;
    }
    const evidence = parseEvidence(cell);
    expect(evidence?.length ?? 0, cell).toBeGreaterThan(0);
    expect(problemsOf(evidence ?? [])).toEqual([]);
    for (const { file } of evidence ?? []) {
      const source = sourceOf(`test/${file}`);
      const counted = [`${name.toUpperCase()}: `, `.${name}`, `'${name}'`].some((text) =>
        source.includes(text),
      );
      expect(counted, `test/${file} looks at ${name}`).toBe(true);
    }
  });
});

it('every name of verdict.h is one that the programs set', () => {
  const programs = readdirSync(join(repositoryRoot(), 'bpf'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.h') && file !== join('abi', 'verdict.h'))
    .map((file) => sourceOf(join('bpf', file)))
    .join('\n');
  for (const [prefix, names] of [
    ['DROP_REASON_', namesOf('DROP_REASON_')],
    ['PATH_', namesOf('PATH_')],
  ] as const)
    for (const name of names) expect(programs).toMatch(new RegExp(`\\b${prefix}${name.toUpperCase()}\\b`));
});
