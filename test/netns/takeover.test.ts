import { afterAll, describe, expect, it } from 'vitest';
import type { ProxyMode } from '../support/kubeproxy/index.js';
import { type TakeoverRow, writeTakeover } from '../support/kubeproxy/takeover-report.js';
import { TakeoverRun } from '../support/kubeproxy/takeover-run.js';

interface Mode {
  mode: ProxyMode;
  services: number;
  foreign: boolean;
  /** Native XDP on the uplink, without --takeover-window: it asks nf_conntrack itself. */
  xdp: boolean;
}

const MODES: Mode[] = [
  // Without any rule of others, kube-proxy's are the last that keep nf_conntrack and nf_nat going.
  { mode: 'iptables-nft', services: 10, foreign: false, xdp: false },
  { mode: 'nftables', services: 10, foreign: false, xdp: true },
  { mode: 'iptables-legacy', services: 10, foreign: true, xdp: true },
  { mode: 'iptables-nft', services: 1000, foreign: true, xdp: false },
  { mode: 'nftables', services: 1000, foreign: true, xdp: false },
];

/** Of other sizes, which takes longer than a test run may: `npm run test:takeover`. */
const SIZES = (process.env.SHUNT_TAKEOVER_SERVICES ?? '').split(',').map(Number).filter(Boolean);
const SIZED: Mode[] = SIZES.flatMap((services) =>
  (['iptables-nft', 'iptables-legacy', 'nftables'] as const).flatMap((mode) =>
    [false, true].map((xdp) => ({ mode, services, foreign: true, xdp })),
  ),
).filter(({ xdp, services }) => !xdp || services === SIZES[0]);

const runs = SIZED.length > 0 ? SIZED : MODES;
const rows: TakeoverRow[] = [];

afterAll(() => {
  const path = process.env.SHUNT_TAKEOVER_REPORT;
  if (path && rows.length === runs.length) writeTakeover(path, rows);
});

describe.each(runs)(
  '$mode, $services services, rules of others: $foreign, native XDP: $xdp',
  ({ mode, services, foreign, xdp }) => {
    it('takes over and gives back: no connection fails, no other rule changes', {
      timeout: 900_000,
    }, async () => {
      const attached = xdp ? { box: { xdp }, agentArgs: ['--xdp=force'] } : {};
      await using run = await TakeoverRun.start({ mode, services, foreign, ...attached });
      const clean = await run.netfilter();
      await run.installKubeProxy();
      const rules = (await run.netfilter()).split('\n').length - clean.split('\n').length;
      const before = await run.traffic(40_000);
      expect(
        Number(await run.shell('conntrack -L --dst-nat 2>/dev/null | grep -c ESTABLISHED')),
      ).toBeGreaterThan(100);

      // Nothing serves yet: --do must not leave the node without a proxy.
      const early = await run.takeover('--do', '-o', 'json');
      expect(early.code).toBe(3);
      expect(JSON.parse(early.stdout)).toMatchObject({ verdict: 'refused' });

      const agent = await run.startAgent();
      const check = await timed(run.takeover('--check', '-o', 'json'));
      expect([check.code, check.stderr]).toEqual([0, '']);
      expect(JSON.parse(check.stdout)).toMatchObject({ verdict: 'ready', missing: [] });

      const done = await timed(run.takeover('--do', '--watch', '2', '--wait', '0'));
      expect(done.stderr).toMatch(/^shunt: \d+ old connections are left/);
      expect(done.code).toBe(4);
      expect(without(await run.netfilter())).toEqual(without(clean));
      const [beforeTcp, during] = [await before.stopTcp(), await run.traffic(41_000)];
      expect(beforeTcp).toMatchObject({ failed: 0, opened: 200, alive: 200 });
      const beforeUdp = await before.stopUdp();
      // To the last datagram with the endpoint that kube-proxy chose.
      expect(beforeUdp).toMatchObject({ lost: 0, moved: 0, errors: {} });
      const finished = await run.takeover('--do', '--wait', '60');
      expect([finished.stderr, finished.code]).toEqual(['', 0]);
      expect(without(await run.netfilter())).toEqual(without(clean));

      await run.installKubeProxy();
      const proxied = await run.netfilter();
      // Otherwise nothing of the above says anything about XDP.
      for (const path of ['remote_xdp', 'reply_xdp']) {
        expect((await run.paths())[path] ?? 0, path)[xdp ? 'toBeGreaterThan' : 'toBe'](xdp ? 500 : 0);
      }
      const undo = await timed(run.takeover('--undo', '--wait', '0'));
      expect(undo.code).toBe(4);
      const after = await run.traffic(42_000);
      const duringTcp = await during.stopTcp();
      expect(duringTcp, undo.stdout).toMatchObject({ failed: 0, opened: 200, alive: 200 });
      await agent.kill();
      const undone = await timed(run.takeover('--undo', '--force', '--wait', '0'));
      expect([undone.stderr, undone.code]).toEqual(['', 0]);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const duringUdp = await during.stopUdp();
      expect(duringUdp).toMatchObject({ lost: 0, errors: {} });
      const afterTcp = await after.stopTcp();
      expect(afterTcp).toMatchObject({ failed: 0, opened: 200, alive: 200 });
      const afterUdp = await after.stopUdp();
      expect(afterUdp).toMatchObject({ lost: 0, errors: {} });
      expect(await run.netfilter()).toEqual(without(proxied));

      const tcp = [beforeTcp, duringTcp, afterTcp];
      const udp = [beforeUdp, duringUdp, afterUdp];
      const row: TakeoverRow = {
        ...{ mode, services, xdp, rules },
        held: sum(tcp.map((report) => report.alive)),
        begun: sum(tcp.flatMap((report) => report.steady.map((stream) => stream.ok))),
        failed: sum(tcp.map((report) => report.failed)),
        datagrams: sum(udp.map((report) => report.sent)),
        lost: sum(udp.map((report) => report.lost)),
        ...{ checkMs: check.ms, doMs: done.ms - 2000, undoMs: undo.ms, detachMs: undone.ms },
      };
      rows.push(row);
      console.log(JSON.stringify(row));
    });
  },
);

function sum(numbers: number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

async function timed<T extends object>(running: Promise<T>): Promise<T & { ms: number }> {
  const began = performance.now();
  const result = await running;
  return { ...result, ms: Math.round(performance.now() - began) };
}

/** The table that keeps translation going while connections need it is Shunt's own. */
function without(text: string): string {
  return text.replace(/^table ip6? shunt-takeover \{[\s\S]*?^\}\n/gm, '');
}
