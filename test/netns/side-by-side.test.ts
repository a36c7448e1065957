import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tcpClient } from '../../box/index.js';
import { type StandardService, standardService } from '../support/cluster/standard.js';
import type { ProxyMode } from '../support/kubeproxy/index.js';
import { Stream } from '../support/kubeproxy/stream.js';
import { proxiedPorts, TakeoverRun, type Traffic } from '../support/kubeproxy/takeover-run.js';

const LABEL = 'service.kubernetes.io/service-proxy-name';

// kube-proxy follows the label too: its rules of that Service go and come back. Its side is played by rewriting the rules.
describe.each<ProxyMode>(['iptables-nft', 'nftables'])('beside kube-proxy, %s', (mode) => {
  let run: TakeoverRun;
  let other: StandardService;
  let traffic: Traffic;
  let others: Stream;

  const label = (value: string | undefined) => {
    const [service, ...slices] = run.service.objects;
    if (!service) throw new Error('no Service');
    const labels = value === undefined ? {} : { [LABEL]: value };
    run.cluster.apply('20-services', [{ ...service, metadata: { ...service.metadata, labels } }, ...slices]);
  };
  const served = async () => {
    const rows = await run.cluster.shunt<{ namespace: string; name: string }[]>('node1', ['services']);
    return [...new Set(rows.map(({ namespace, name }) => `${namespace}/${name}`))];
  };
  /** Flows that Shunt has begun, ever. */
  const begun = async () => {
    const paths = await run.paths();
    return Object.values(paths).reduce((a, b) => a + b, 0);
  };
  /** Connections that kube-proxy's rules have translated. */
  const translated = async (ip: string) =>
    Number(await run.shell(`conntrack -L --orig-dst ${ip} --dst-nat 2>/dev/null | grep -c src= || true`));

  beforeAll(async () => {
    run = await TakeoverRun.start({ mode, services: 10, foreign: false, sideBySide: true });
    const { box } = run.cluster;
    other = standardService(box, { name: 'other', number: 2, pods: ['b1', 'b2'] });
    run.cluster.apply('25-other', other.objects);
    run.ports.push(...proxiedPorts(box, 'other', other, ['b1', 'b2']));
    await run.installKubeProxy();
    traffic = await run.traffic(40_000);
    others = await Stream.start(box, 'a1', { host: other.clusterIp4, port: 80 }, 20);
    await run.startAgent();
  });
  afterAll(() => run?.close());

  it("nothing without the label is Shunt's", async () => {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(await served()).toEqual([]);
    expect(await begun()).toBe(0);
  });

  it('the labelled Service moves, and no other', async () => {
    label('shunt');
    await expect.poll(served, { timeout: 10_000 }).toEqual(['default/web']);
    await run.installKubeProxy(run.ports.filter(({ name }) => !name.startsWith('default/web:')));
    const { box } = run.cluster;
    await run.shell(
      `conntrack -D --orig-dst ${run.service.clusterIp4} -p tcp --state TIME_WAIT 2>/dev/null || true`,
    );
    const before = await translated(run.service.clusterIp4);
    expect(await tcpClient(box.pod('a1'), run.service.tcp[4], { count: 50 })).toMatchObject({
      ok: 50,
      failed: 0,
    });
    expect(await translated(run.service.clusterIp4)).toBeLessThanOrEqual(before);
    expect(await begun()).toBeGreaterThan(500);
    expect(await tcpClient(box.pod('a1'), other.tcp[4], { count: 50 })).toMatchObject({ ok: 50, failed: 0 });
    expect(await translated(other.clusterIp4)).toBeGreaterThanOrEqual(50);
    expect(await served()).toEqual(['default/web']);
  });

  it('taking the label away gives it back', async () => {
    await run.installKubeProxy();
    label(undefined);
    await expect.poll(served, { timeout: 10_000 }).toEqual([]);
    const { box } = run.cluster;
    for (const to of [run.service.tcp[4], run.service.tcp[6], other.tcp[4]])
      expect(await tcpClient(box.pod('a1'), to, { count: 50 })).toMatchObject({ ok: 50, failed: 0 });
    expect(await translated(run.service.clusterIp4)).toBeGreaterThanOrEqual(50);
  });

  it('none of the connections that were open all the while, or begun, has failed', async () => {
    expect(await traffic.stopTcp()).toMatchObject({ failed: 0, opened: 200, alive: 200 });
    expect(await others.stop()).toMatchObject({ failed: 0 });
    expect(await traffic.stopUdp()).toMatchObject({ lost: 0, errors: {} });
  });
});
