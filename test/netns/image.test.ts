import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isReadyLine } from '../../box/agent.js';
import {
  type BoxProcess,
  endpoint,
  forget,
  remember,
  repositoryRoot,
  tcpClient,
  udpClient,
} from '../../box/index.js';
import type { Report } from '../../src/doctor/index.js';
import { Cluster, eventually } from '../support/cluster/cluster.js';
import { type StandardService, standardService } from '../support/cluster/standard.js';
import { type ContainerSpec, specOfOverlay, unpackImage, writeBundle } from '../support/image/container.js';

const NODE_PORT = { tcp: 30080, udp: 30053 };

describe('the image, run with the rights of the least-privilege overlay', () => {
  let cluster: Cluster;
  let service: StandardService;
  let bundle: string;
  let spec: ContainerSpec;
  let running: BoxProcess;
  let count = 0;
  const id = () => `shunt-image-${cluster.box.id}-${count}`;
  const runc = (...args: string[]) => ['runc', '--root', join(cluster.box.directory, 'runc'), ...args];
  const inContainer = (...argv: string[]) => {
    const [command = '', ...args] = runc('exec', id(), ...argv);
    return execFileSync(command, args, { encoding: 'utf8' });
  };

  /** Of all containers so far, which lie outside of the box's cgroups; an interrupted run must not leave one. */
  const containers = {
    closeSync: () => {
      for (let n = 1; n <= count; n++) {
        const [command = '', ...args] = runc('delete', '--force', `shunt-image-${cluster.box.id}-${n}`);
        spawnSync(command, args);
      }
    },
  };

  /** The next container, in place of one that has ended. */
  async function start(image: ReturnType<typeof unpackImage>): Promise<void> {
    count++;
    writeBundle(bundle, {
      image,
      spec,
      node: cluster.box.node('node1'),
      manifests: cluster.manifests,
      id: id(),
    });
    running = cluster.box.spawn('node1', runc('run', '--bundle', bundle, id()), { cwd: '/' });
    await running.waitForLine(isReadyLine, 60_000);
  }

  let image: ReturnType<typeof unpackImage>;
  beforeAll(async () => {
    execFileSync('bash', ['scripts/build-image.sh'], {
      cwd: repositoryRoot(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    spec = specOfOverlay('least-privilege');
    cluster = await Cluster.start({ box: { nodes: 1 }, agentless: true });
    remember(containers);
    service = standardService(cluster.box, { name: 'web', number: 1, pods: ['a2'], nodePorts: NODE_PORT });
    cluster.apply('20-services', service.objects);
    bundle = join(cluster.box.directory, 'bundle');
    mkdirSync(bundle);
    image = unpackImage(bundle);
    await start(image);
  }, 240_000);

  afterAll(async () => {
    containers.closeSync();
    forget(containers);
    await cluster?.close();
  });

  it('has four capabilities, no new ones, a seccomp filter and a root that it cannot write to', () => {
    expect(spec.capabilities).toEqual(['CAP_NET_ADMIN', 'CAP_BPF', 'CAP_PERFMON', 'CAP_NET_RAW']);
    const state = JSON.parse(
      execFileSync(runc('state', id())[0] ?? '', runc('state', id()).slice(1), { encoding: 'utf8' }),
    );
    const status = readFileSync(`/proc/${state.pid}/status`, 'utf8');
    const bits = [12, 13, 38, 39].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) {
      expect(BigInt(`0x${new RegExp(`^${set}:\\s*(\\w+)`, 'm').exec(status)?.[1]}`), set).toBe(bits);
    }
    expect(status).toMatch(/^NoNewPrivs:\s*1$/m);
    expect(status).toMatch(/^Seccomp:\s*2$/m);
    const write = `try { fs.writeFileSync('/opt/shunt/x', ''); } catch (error) { console.log(error.code); }`;
    expect(inContainer('node', '-e', write)).toBe('EROFS\n');
  });

  it('serves a pod, the node itself and a client outside', async () => {
    const { box } = cluster;
    for (const family of [4, 6] as const) {
      expect(await tcpClient(box.pod('a1'), service.tcp[family], { count: 20 })).toMatchObject({ ok: 20 });
      expect(await udpClient(box.pod('a1'), service.udp[family], { count: 20 })).toMatchObject({ ok: 20 });
      expect(await tcpClient(box.node('node1'), service.tcp[family], { count: 20 })).toMatchObject({
        ok: 20,
      });
    }
    const { ipv4, ipv6 } = box.node('node1');
    for (const ip of [ipv4, ipv6]) {
      expect(await tcpClient(box.outside, endpoint(ip, NODE_PORT.tcp), { count: 20 })).toMatchObject({
        ok: 20,
      });
    }
  });

  it('has attached every hook, the sockets of the node included', async () => {
    const { links } = await cluster.shunt<{ links: { hook: string; attached: boolean }[] }>('node1', [
      'status',
    ]);
    expect(links.every((link) => link.attached)).toBe(true);
    expect(new Set(links.map((link) => link.hook))).toContain('sk_connect4');
    expect(links.filter((link) => link.hook.startsWith('tc_'))).toHaveLength(6);
    expect(running.stdout + running.stderr).not.toMatch(/EPERM|EACCES/);
  });

  it('lets the commands be used inside', () => {
    const services = JSON.parse(inContainer('shunt', 'services', '-o', 'json')) as { name: string }[];
    expect(services.map(({ name }) => name)).toContain('web');
  });

  it('finds nothing to mend from inside, without seeing the names of programs', () => {
    const report = JSON.parse(
      inContainer('shunt', 'doctor', '--cgroup=/host/cgroup', '-o', 'json'),
    ) as Report;
    expect(report.findings.filter(({ level }) => level === 'fail')).toEqual([]);
    expect(report.findings.find(({ id }) => id === 'privilege')?.level).toBe('ok');
    expect(report.findings.find(({ id }) => id === 'hooks')?.level).toBe('ok');
  });

  it('stays within the memory limit of the overlay, maps included', () => {
    const file = ['memory.usage_in_bytes', 'memory.current']
      .map((name) => `/sys/fs/cgroup/memory/${id()}/${name}`)
      .concat(`/sys/fs/cgroup/${id()}/memory.current`)
      .find(existsSync);
    const used = Number(readFileSync(file ?? '', 'utf8'));
    console.log(`image: ${Math.round(used / 2 ** 20)} MiB used, of them the maps and the agent`);
    expect(used).toBeLessThan(spec.memoryBytes / 2);
  });

  it('dies without a gap, and the next one takes over', async () => {
    const [command = '', ...args] = runc('kill', id(), 'KILL');
    execFileSync(command, args);
    await running.exited;
    expect(await tcpClient(cluster.box.pod('a1'), service.tcp[4], { count: 20 })).toMatchObject({ ok: 20 });
    await start(image);
    expect(running.stdout).toMatch(/taking over pinned state/);
    const more = standardService(cluster.box, { name: 'more', number: 2, pods: ['a2'] });
    cluster.apply('30-more', more.objects);
    await eventually('the new Service', async () => {
      return (await tcpClient(cluster.box.pod('a1'), more.tcp[4], { count: 1, timeoutMs: 500 })).ok === 1;
    });
  });
});
