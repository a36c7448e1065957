import { describe, expect, it } from 'vitest';
import type { ProxyMode } from '../support/kubeproxy/index.js';
import { TakeoverRun } from '../support/kubeproxy/takeover-run.js';

interface Mode {
  mode: ProxyMode;
  services: number;
  foreign: boolean;
}

const MODES: Mode[] = [
  // Without any rule of others, kube-proxy's are the last that keep nf_conntrack and nf_nat going.
  { mode: 'iptables-nft', services: 10, foreign: false },
  { mode: 'nftables', services: 10, foreign: false },
  { mode: 'iptables-legacy', services: 10, foreign: true },
  { mode: 'iptables-nft', services: 1000, foreign: true },
  { mode: 'nftables', services: 1000, foreign: true },
];

/** Of another size, which takes longer than a test run may: `npm run test:takeover`. */
const SIZE = Number(process.env.SHUNT_TAKEOVER_SERVICES ?? 0);
const SIZED: Mode[] = (['iptables-nft', 'iptables-legacy', 'nftables'] as const).map((mode) => ({
  ...{ mode, services: SIZE, foreign: true },
}));

describe.each(SIZE > 0 ? SIZED : MODES)(
  '$mode, $services services, rules of others: $foreign',
  ({ mode, services, foreign }) => {
    it('takes over and gives back: no connection fails, no other rule changes', {
      timeout: 900_000,
    }, async () => {
      await using run = await TakeoverRun.start({ mode, services, foreign });
      const clean = await run.netfilter();
      await run.installKubeProxy();
      const before = await run.traffic(40_000);
      expect(
        Number(await run.shell('conntrack -L --dst-nat 2>/dev/null | grep -c ESTABLISHED')),
      ).toBeGreaterThan(100);

      // Nothing serves yet: --do must not leave the node without a proxy.
      const early = await run.takeover('--do', '-o', 'json');
      expect(early.code).toBe(3);
      expect(JSON.parse(early.stdout)).toMatchObject({ verdict: 'refused' });

      const agent = await run.startAgent();
      const checkedMs = performance.now();
      const check = await run.takeover('--check', '-o', 'json');
      expect([check.code, check.stderr]).toEqual([0, '']);
      expect(JSON.parse(check.stdout)).toMatchObject({ verdict: 'ready', missing: [] });

      const startedMs = performance.now();
      const done = await run.takeover('--do', '--watch', '2', '--wait', '0');
      if (SIZE > 0) {
        const [check, removal] = [startedMs - checkedMs, performance.now() - startedMs - 2000].map(
          Math.round,
        );
        console.log(JSON.stringify({ mode, services, checkMs: check, doMs: removal }));
      }
      expect(done.stderr).toMatch(/^shunt: \d+ old connections are left/);
      expect(done.code).toBe(4);
      expect(without(await run.netfilter())).toEqual(without(clean));
      const [beforeTcp, during] = [await before.stopTcp(), await run.traffic(41_000)];
      expect(beforeTcp).toMatchObject({ failed: 0, opened: 200, alive: 200 });
      expect(await before.stopUdp()).toMatchObject({ lost: 0, errors: {} });
      const finished = await run.takeover('--do', '--wait', '60');
      expect([finished.stderr, finished.code]).toEqual(['', 0]);
      expect(without(await run.netfilter())).toEqual(without(clean));

      await run.installKubeProxy();
      const proxied = await run.netfilter();
      const undo = await run.takeover('--undo', '--wait', '0');
      expect(undo.code).toBe(4);
      const after = await run.traffic(42_000);
      expect(await during.stopTcp(), undo.stdout).toMatchObject({ failed: 0, opened: 200, alive: 200 });
      await agent.kill();
      const undone = await run.takeover('--undo', '--force', '--wait', '0');
      expect([undone.stderr, undone.code]).toEqual(['', 0]);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(await during.stopUdp()).toMatchObject({ lost: 0, errors: {} });
      expect(await after.stopTcp()).toMatchObject({ failed: 0, opened: 200, alive: 200 });
      expect(await after.stopUdp()).toMatchObject({ lost: 0, errors: {} });
      expect(await run.netfilter()).toEqual(proxied);
    });
  },
);

/** The table that keeps translation going while connections need it is Shunt's own. */
function without(text: string): string {
  return text.replace(/^table ip6? shunt-takeover\n/gm, '');
}
