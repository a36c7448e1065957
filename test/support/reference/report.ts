// docs/TEST-DIFFERENTIAL.md: what the last long run compared.
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';

export interface Report {
  seed: number;
  seconds: number;
  /** Packets by settings. */
  compared: [string, number][];
  /** Hook, verdict and counters: how often. */
  outcomes: Map<string, number>;
}

export function writeReport(path: string, r: Report): void {
  const total = r.compared.reduce((sum, [, n]) => sum + n, 0);
  const lines = [
    '# Differential test: the last long run',
    '',
    'Written by `npm run test:differential`; what it does is told in `test/packet/differential.test.ts`. A test that differs',
    'leaves this file as it was.',
    '',
    `${total.toLocaleString('en')} packets and socket calls compared in ${Math.round(r.seconds)} s, no difference; seed ${r.seed}; Linux ${release()}.`,
    'Repeat it with `bash scripts/differential.sh <packets> <seed>`.',
    '',
    '| settings | packets |',
    '|---|---|',
    ...r.compared.map(([name, n]) => `| ${name} | ${n} |`),
    '',
    '| hook, verdict, path or drop | packets |',
    '|---|---|',
    ...[...r.outcomes].map(([what, n]) => `| ${what.replaceAll('  ', ' ')} | ${n} |`).sort(),
    '',
  ];
  writeFileSync(path, lines.join('\n'));
}
