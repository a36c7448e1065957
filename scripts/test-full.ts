// `npm run test:full`: every row of the end-to-end matrix in every setting. Writes docs/TEST-FULL.md and ends with
// 0 when every row of every setting held. Options: --minutes N (default 60: what has not begun by then is left out,
// and the run not green), --jobs N (boxes at a time, default the number of CPUs), --only TEXT (settings whose name holds it; the
// document is left alone).
import { writeFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '../box/index.js';
import { rowsOf, settingName } from '../test/support/cluster/matrix.js';
import { checkGroup, groupSettings, type SettingResult } from '../test/support/cluster/matrix-full.js';
import { PRODUCT } from '../test/support/cluster/matrix-settings.js';
import { renderFull } from './test-full/document.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    only: { type: 'string', default: '' },
  },
});

const settings = PRODUCT.filter((setting) => settingName(setting).includes(values.only));
const rows = settings.reduce((sum, setting) => sum + rowsOf(setting).length, 0);
const began = performance.now();
const end = began + Number(values.minutes) * 60_000;
const results: SettingResult[] = [];
let isInterrupted = false;
const queue = groupSettings(settings);

// `on`, not `once`: while somebody listens, the boxes leave the decision to us, and are closed in order.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    isInterrupted = true;
  });
}

function isOver(): boolean {
  return isInterrupted || performance.now() > end;
}

function report(result: SettingResult): void {
  results.push(result);
  if (result.failures.length > 0) {
    console.log(`FAILED ${result.name}: ${result.failures.length}`);
    for (const failure of result.failures.slice(0, 5)) console.log(`  ${failure}`);
  }
  if (!result.isLeftOut && results.length % 10 === 0)
    console.log(`${results.length} of ${settings.length} settings`);
}

/** Takes groups until none is left. */
async function work(): Promise<void> {
  for (let group = queue.shift(); group; group = queue.shift()) await checkGroup(group, isOver, report);
}

console.log(`${settings.length} settings, ${rows} rows, ${values.jobs} at a time`);
await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, work));

const seconds = Math.round((performance.now() - began) / 1000);
const passed = results.reduce((sum, result) => sum + result.passed, 0);
if (values.only === '') {
  const text = renderFull(results, {
    seconds,
    kernel: release(),
    date: new Date().toISOString().slice(0, 10),
  });
  writeFileSync(join(repositoryRoot(), 'docs/TEST-FULL.md'), text);
}
const leftOut = results.filter((result) => result.isLeftOut);
const unseen = leftOut.reduce((sum, result) => sum + result.rows, 0);
console.log(
  `${passed} rows passed, ${rows - passed - unseen} failed, ${leftOut.length} of ${settings.length} settings ` +
    `left out, ${seconds} s`,
);
process.exitCode = passed < rows ? 1 : 0;
