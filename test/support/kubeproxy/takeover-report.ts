/** The last result of `npm run test:takeover` as a document. Pure but for the file it is written to. */
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';

export interface TakeoverRow {
  mode: string;
  services: number;
  /** XDP on the uplink, native. */
  xdp: boolean;
  /** Lines of kube-proxy's rules. */
  rules: number;
  /** TCP connections that lived through a change of hands, and those that were begun meanwhile. */
  held: number;
  begun: number;
  failed: number;
  datagrams: number;
  lost: number;
  checkMs: number;
  /** Without --watch. */
  doMs: number;
  undoMs: number;
  detachMs: number;
}

export function renderTakeover(rows: readonly TakeoverRow[], run: { date: string; kernel: string }): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  return [
    '# Takeover and undo: the last whole run',
    '',
    'Written by `npm run test:takeover`; do not edit. What it does is `test/netns/takeover.test.ts`: three waves of 200 TCP',
    'connections with traffic, 50 UDP flows from fixed ports and five streams of new connections (50/s each) from a pod, from outside',
    '(IPv4 and IPv6) and from the node itself. The first wave begins with kube-proxy, the second between takeover and undo, the third after undo; each',
    'goes on past the next change of hands. A run that loses anything, or that leaves any other rule not as it was, fails, and',
    'leaves this file as it was: every row below means rules of others identical to the byte after takeover, all rules after undo.',
    '',
    `Last run: ${run.date}, Linux ${run.kernel}, ${rows.length} runs, without \`--takeover-window\`.`,
    '',
    '| rules | XDP | Services | lines of rules | TCP held | TCP begun | failed or reset | datagrams | lost | `--check` | `--do` | `--undo` | `--undo --force` |',
    '|---|---|---|---|---|---|---|---|---|---|---|---|---|',
    ...rows.map(
      (r) =>
        `| ${r.mode} | ${r.xdp ? 'native' : '-'} | ${r.services} | ${r.rules} | ${r.held} | ${r.begun} | ${r.failed} | ${r.datagrams} | ` +
        `${r.lost} | ${[r.checkMs, r.doMs, r.undoMs, r.detachMs].map((ms) => `${seconds(ms)} s`).join(' | ')} |`,
    ),
    '',
    'Times are those of the whole command on two CPUs that carry the traffic too: `--do` without its watch for rules that come back (35 s,',
    '`--watch`), `--undo` until new connections are with kube-proxy and its own ports are entered, `--undo --force` until all is detached.',
    '',
  ].join('\n');
}

export function writeTakeover(path: string, rows: readonly TakeoverRow[]): void {
  writeFileSync(
    path,
    renderTakeover(rows, { date: new Date().toISOString().slice(0, 10), kernel: release() }),
  );
}
