// node main.js <module> <case> <context as JSON>: runs one case; the exit code and stderr tell how it went.
import { type Case, type CaseContext, run } from './context.js';

const [, , module = '', name = '', json = '{}'] = process.argv;
const { peerNetns, ...rest } = JSON.parse(json) as Omit<CaseContext, 'peer'> & { peerNetns: string };
const context: CaseContext = {
  ...rest,
  peer: (command, ...args) => run('nsenter', `--net=${peerNetns}`, command, ...args),
};
const { cases } = (await import(`./${module}.js`)) as { cases: Record<string, Case> };
const body = cases[name];
if (!body) throw new Error(`no case "${name}" in ${module}`);
await body(context);
