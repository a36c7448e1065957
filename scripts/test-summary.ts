// Last step of scripts/test.sh: test-summary.js FOLDER PART:EXITCODE:SECONDS...
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Part, summarise, type VitestReport } from './test-results.js';

const PROJECTS = new Set(['unit', 'packet', 'netns']);
const [folder = 'build/test', ...ran] = process.argv.slice(2);

const parts = ran.map((text): Part => {
  const [name = '', exitCode, seconds] = text.split(':');
  const path = join(folder, `${name}.json`);
  return {
    name,
    exitCode: Number(exitCode),
    seconds: Number(seconds),
    hasTests: PROJECTS.has(name),
    ...(existsSync(path) && { report: JSON.parse(readFileSync(path, 'utf8')) as VitestReport }),
  };
});

const { passed, failed, skipped, remarks } = summarise(parts);
for (const part of parts) {
  console.log(`${part.name.padEnd(8)} ${part.exitCode === 0 ? 'ok' : 'FAILED'}, ${part.seconds} s`);
}
for (const remark of remarks) console.log(remark);
if (skipped > 0)
  console.log('A skipped test is a failure here: this run is as root and has what every test needs.');
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || (skipped > 0 && process.getuid?.() === 0) ? 1 : 0;
