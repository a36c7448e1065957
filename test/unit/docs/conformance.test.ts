import { describe, expect, it } from 'vitest';
import { parseEvidence, problemsOf, readTables, sourceOf } from './tables.js';

const ROWS = readTables('docs/CONFORMANCE.md').map(({ heading, cells }, i) => ({
  heading,
  cells,
  line: i + 1,
}));

describe('docs/CONFORMANCE.md', () => {
  it('has rows for every section of the contract, under its heading, and for the suites of Kubernetes', () => {
    const sections = ROWS.filter(({ heading }) => /^\d/.test(heading));
    for (let section = 1; section <= 9; section++) {
      const mine = sections.filter(({ heading }) => heading.startsWith(`${section}. `));
      expect(mine.length, `section ${section}`).toBeGreaterThan(5);
      expect(new Set(mine.map(({ cells }) => cells[0]))).toEqual(new Set([String(section)]));
    }
    const suites = new Set(
      ROWS.filter(({ heading }) => heading.startsWith('Kube')).map(({ cells }) => cells[0]),
    );
    expect([...suites]).toEqual(
      expect.arrayContaining(['Services', 'Conntrack', 'LoadBalancers', 'Granular', 'Proxy', 'Latency']),
    );
  });

  it('says every rule once', () => {
    const rules = ROWS.map(({ cells }) => `${cells[0]}: ${cells[1]}`);
    expect(rules.filter((rule, i) => rules.indexOf(rule) !== i)).toEqual([]);
  });

  it.each(ROWS.map((row) => [row.cells[0], row.cells[1], row] as const))('%s: %s', (_section, _rule, row) => {
    expect(row.cells).toHaveLength(4);
    const [, , tests, state] = row.cells as [string, string, string, string];
    if (state !== 'shown') {
      // Honest about what is missing, and why.
      expect(state).toMatch(/^not done: .{10,}/);
      expect(tests).toBe('—');
      return;
    }
    const evidence = parseEvidence(tests);
    expect(evidence, `written as \`file\` "title", "title"; \`file\` "title": ${tests}`).toBeDefined();
    expect(evidence?.length).toBeGreaterThan(0);
    expect(problemsOf(evidence ?? [])).toEqual([]);
  });

  it('counts right', () => {
    const shown = ROWS.filter(({ cells }) => cells[3] === 'shown').length;
    expect(sourceOf('docs/CONFORMANCE.md')).toContain(
      `Sum: ${shown} rows shown, ${ROWS.length - shown} not done.`,
    );
  });
});

describe('what the tables are held to', () => {
  const problems = (titles: string[]) => problemsOf([{ file: 'unit/model/services.test.ts', titles }]);

  it('finds titles, whole and in part, and misses what is not there', () => {
    expect(problems(['ClusterIP without a label', 'follows the label'])).toEqual([]);
    expect(problems(['follows the lable'])).toHaveLength(1);
    expect(problemsOf([{ file: 'unit/model/none.test.ts', titles: ['x'] }])).toHaveLength(1);
  });

  it('takes code for no title, nor a comment', () => {
    expect(problems(['const loadBalancer'])).toHaveLength(1);
    expect(problemsOf([{ file: 'packet/semantics.test.ts', titles: ['nf_conntrack calls'] }])).toHaveLength(
      1,
    );
  });

  it.each(['', '`a.test.ts`', '`a.test.ts" "b"', '`a.ts` "b"', '`a.test.ts` "b" "c"', 'see `a.test.ts` "b"'])(
    'reads no evidence in %j',
    (cell) => expect(parseEvidence(cell)?.length ?? 0).toBe(0),
  );

  it('reads several files and titles', () => {
    expect(parseEvidence('`a.test.ts` "b", "c"; `d.test.ts` "e"')).toEqual([
      { file: 'a.test.ts', titles: ['b', 'c'] },
      { file: 'd.test.ts', titles: ['e'] },
    ]);
  });
});
