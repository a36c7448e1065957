/**
 * report.js OUT SECONDS CHECK...: sums up a run of scripts/qemu-6.1.sh. Each check's last result is kept beside OUT, and
 * docs/TEST-KERNEL-6.1.md is written when every check has one. Exit code: 0 when all checks of this run passed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryRoot } from '../../box/paths.js';

interface Result {
  date: string;
  commit: string;
  kernel: string;
  passed: boolean;
  /** Seconds in the machine. */
  took: number;
  figures: string;
  /** Instructions that the verifier walked through, by program: without and with nf_conntrack. */
  programs?: Record<string, number[]>;
  failures: string[];
}

interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: {
    message?: string;
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[];
  }[];
}

const [out = '', seconds = '0', ...checks] = process.argv.slice(2);
const kept = join(dirname(out), 'results');
const text = (name: string) => (existsSync(join(out, name)) ? readFileSync(join(out, name), 'utf8') : '');
const firstLine = (message: string) => message.split('\n')[0] ?? '';

function fromVitest(report: VitestReport): Pick<Result, 'figures' | 'failures'> {
  const { numPassedTests, numFailedTests, numPendingTests } = report;
  return {
    figures: `${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`,
    failures: report.testResults.flatMap(({ message, assertionResults }) => [
      ...(message ? [firstLine(message)] : []),
      ...assertionResults
        .filter(({ status }) => status === 'failed')
        .map(({ fullName, failureMessages }) => `${fullName}: ${firstLine(failureMessages[0] ?? '')}`),
    ]),
  };
}

function fromLoad(log: string): Pick<Result, 'figures' | 'programs' | 'failures'> {
  const programs: Record<string, number[]> = {};
  for (const [, name = '', count] of log.matchAll(/^(\w+) (\d+)$/gm)) {
    programs[name] ??= [];
    programs[name].push(Number(count));
  }
  const loads = [...log.matchAll(/^(\d+ programs) loaded in (\d+) ms$/gm)];
  return {
    figures: loads.map(([, what, ms]) => `${what} in ${(Number(ms) / 1000).toFixed(1)} s`).join(', then '),
    programs,
    failures: log.split('\n').filter((line) => line.startsWith('load object')),
  };
}

/** vitest writes its report at the end only. */
function untilCut(log: string): string {
  const count = (mark: RegExp) => (log.match(mark) ?? []).length;
  return `${count(/^ ✓ /gm)} passed and ${count(/^ × /gm)} failed until then`;
}

function resultOf(name: string, code: number, took: number): Result {
  const log = text(`${name}.log`);
  const json = text(`${name}.json`);
  const figures =
    json !== ''
      ? fromVitest(JSON.parse(json) as VitestReport)
      : name === 'load'
        ? fromLoad(log)
        : { figures: /^\d+ in order, .*$/m.exec(log)?.[0] ?? untilCut(log), failures: [] };
  const failures = code === 124 ? [...figures.failures, 'not done within its time limit'] : figures.failures;
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
    kernel: text('kernel').trim(),
    passed: code === 0,
    took,
    ...figures,
    failures,
  };
}

function document(results: [string, Result][]): string {
  const rows = results.map(
    ([name, r]) =>
      `| ${name} | ${r.passed ? 'passed' : '**failed**'} | ${r.figures} | ${r.took} | ${r.kernel} | ${r.date} | ${r.commit} |`,
  );
  const programs = results.flatMap(([, r]) => Object.entries(r.programs ?? {}));
  const failures = results.flatMap(([name, r]) => r.failures.map((f) => `- ${name}: ${f}`));
  return [
    '# Linux 6.1',
    '',
    'Written by `npm run test:qemu`: what the oldest kernel that Shunt supports says, Debian 12’s own in an emulated machine (no KVM, 2',
    'processors, 2 GiB). An emulated processor is ten to twenty times slower, so the times say nothing about Shunt. The checks are in',
    '`scripts/qemu/checks.sh`.',
    '',
    '| check | result | | seconds | kernel | when (UTC) | commit |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
    ...(failures.length > 0 ? ['What failed:', '', ...failures, ''] : []),
    'Instructions that the verifier walked through, of 1,000,000 at most; nf_conntrack is a module there, and its lookups come with it:',
    '',
    '| program | without nf_conntrack | with it |',
    '|---|---|---|',
    ...programs.map(([name, [without, withIt]]) => `| ${name} | ${without ?? '-'} | ${withIt ?? '-'} |`),
    '',
  ].join('\n');
}

mkdirSync(kept, { recursive: true });
const wanted = text('wanted').trim().split(/\s+/);
const ended = new Map(
  text('results')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' ') as [string, string, string])
    .map(([name, code, took]) => [name, resultOf(name, Number(code), Number(took))]),
);
for (const [name, result] of ended)
  writeFileSync(join(kept, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
console.log(`\nqemu-6.1: ${seconds} s`);
for (const name of wanted) {
  const result = ended.get(name);
  console.log(`${name}: ${result ? `${result.passed ? 'passed' : 'FAILED'}, ${result.figures}` : 'not run'}`);
  for (const failure of result?.failures ?? []) console.log(`  ${failure}`);
}
if (checks.every((name) => existsSync(join(kept, `${name}.json`)))) {
  const all = checks.map((name): [string, Result] => [
    name,
    JSON.parse(readFileSync(join(kept, `${name}.json`), 'utf8')) as Result,
  ]);
  writeFileSync(join(repositoryRoot(), 'docs/TEST-KERNEL-6.1.md'), document(all));
}
process.exitCode = wanted.every((name) => ended.get(name)?.passed) ? 0 : 1;
