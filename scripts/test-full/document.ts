/** The last result of `npm run test:full` as a document. Pure. */
import type { SettingResult } from '../../test/support/cluster/matrix-full.js';

const MODES = ['routed', 'bridge', 'vxlan', 'flannel'];

export function renderFull(
  all: SettingResult[],
  run: { seconds: number; kernel: string; date: string },
): string {
  const results = all.filter((result) => !result.isLeftOut);
  const rows = results.reduce((sum, result) => sum + result.rows, 0);
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.filter((result) => result.failures.length > 0);
  return [
    '# The whole product of the end-to-end matrix',
    '',
    'Written by `npm run test:full`; do not edit. A row is a client (pod, process of the node, outside, another',
    "node's process, another node's pod), a frontend, a protocol, a family, a policy and the place of the backend;",
    'what must be seen, source address included, is `test/support/cluster/matrix.ts`. A setting is a shape of the',
    'pod network, netfilter rules, `rp_filter`, `bridge-nf-call-iptables` and flags of the agents.',
    '',
    `Last run: ${run.date}, Linux ${run.kernel}, ${run.seconds} s. ${passed} of ${rows} rows passed in ` +
      `${results.length} settings` +
      (results.length < all.length ? `; ${all.length - results.length} settings were left out.` : '.'),
    '',
    '| pod network | settings | rows | passed |',
    '|---|---|---|---|',
    ...MODES.map((mode) => {
      const own = results.filter((result) => result.name.startsWith(`${mode},`));
      const sum = (of: 'rows' | 'passed') => own.reduce((total, result) => total + result[of], 0);
      return `| ${mode} | ${own.length} | ${sum('rows')} | ${sum('passed')} |`;
    }),
    '',
    ...(failed.length === 0 ? ['No failures.'] : ['## Failures', '']),
    ...failed.flatMap((result) => [
      `- ${result.name}`,
      ...result.failures.slice(0, 20).map((failure) => `  - ${failure}`),
      ...(result.failures.length > 20 ? [`  - and ${result.failures.length - 20} more`] : []),
    ]),
    '',
  ].join('\n');
}
