// The map writers and readers against the real kernel: plan, apply, read back, start again, look from outside.
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as abi from '../../src/abi/index.js';
import {
  type Datapath,
  type DatapathOptions,
  FlowSweeper,
  layoutDirectory,
  openDatapath,
  openReadOnly,
  Updater,
} from '../../src/datapath/index.js';
import { BpfMap, isBpffs, monotonicNs, mountBpffs } from '../../src/native/index.js';
import { Planner } from '../../src/plan/index.js';
import { clusterIP, desiredService, loadBalancer, nodePort } from '../support/desired.js';

const pinPath = `/sys/fs/bpf/shunt-test-${process.pid}`;
const sizes = {
  services: 256,
  backends: 1024,
  slots: 32_768,
  frontends: 512,
  addresses: 512,
  sourceRanges: 256,
  localities: 64,
  flows: 4096,
};
const settings: abi.LbSettings = {
  host_netns_cookie: 1n,
  flags: abi.SETTING_FIXED_CHOICE,
  event_sample: 0,
  snat_port_min: 10_000,
  snat_port_max: 29_999,
  hairpin4: '169.254.42.1',
  hairpin6: 'fd00:5408:1::1',
  refusals_per_s: 1000,
  hash_seed: 0,
};
const options: DatapathOptions = { pinPath, settings, sizes, programs: ['tc_uplink_in'] };

const web = desiredService({
  name: 'web',
  portName: 'http',
  affinity: { mode: 'ClientIP', timeoutSeconds: 600 },
  externalTrafficPolicy: 'Local',
  frontends: [clusterIP('10.96.0.10'), nodePort(30080), loadBalancer('192.0.2.10', 80, ['198.51.100.0/24'])],
  backends: [
    { at: '10.1.0.2:8080', onNode: true, inLocal: true, nodeName: 'node1', zone: 'a' },
    { at: '10.1.1.2:8080', nodeName: 'node2', zone: 'b' },
    { at: '10.1.1.3:8080', inInternal: false, inCluster: false, terminating: true, ready: false },
  ],
});
const dns = desiredService({
  namespace: 'kube-system',
  name: 'dns',
  protocol: 'UDP',
  family: 6,
  algorithm: 'maglev',
  frontends: [clusterIP('fd00:96::a', 53)],
  backends: ['[fd00::1]:53', '[fd00::2]:53', '[fd00::3]:53'].map((at) => at.replace(/[[\]]/g, '')),
});

function start(datapath: Datapath) {
  const planner = new Planner({ sizes: datapath.store.sizes });
  planner.restore(datapath.readState());
  return { planner, updater: new Updater(datapath.store, planner) };
}

beforeAll(() => {
  if (!isBpffs('/sys/fs/bpf')) {
    mkdirSync('/sys/fs/bpf', { recursive: true });
    mountBpffs('/sys/fs/bpf');
  }
});

afterAll(() => rmSync(pinPath, { recursive: true, force: true }));

describe('the data path in the kernel', () => {
  it('pins every map under a directory of its own, closed to others', async () => {
    using datapath = await openDatapath(options);
    expect(datapath.reusedMaps.size).toBe(0);
    expect(statSync(layoutDirectory(pinPath)).mode & 0o777).toBe(0o700);
    for (const name of abi.MAP_NAMES)
      expect(existsSync(join(datapath.layoutDirectory, name)), name).toBe(true);
    expect(datapath.store.sizes.lb_backends).toBe(sizes.backends);
    expect(datapath.config.get('layout_version')).toBe(1n);
  });

  it("holds what a plan says, read back through the command line's reader", async () => {
    using datapath = await openDatapath(options);
    const { planner, updater } = start(datapath);
    const plan = planner.reconcile([web, dns]);
    expect(plan.problems).toEqual([]);
    updater.apply(plan);
    updater.apply(
      planner.setNodeAddresses([{ ip: '172.16.0.1', nodePorts: true, loopback: false, primary: true }]),
    );
    await updater.idle();

    using reader = openReadOnly({ pinPath });
    const frontends = reader.reader.frontends();
    expect(
      frontends.map((f) => `${f.namespace}/${f.name} ${f.type} ${f.ip}:${f.port}/${f.protocol}`),
    ).toEqual([
      'default/web ClusterIP 10.96.0.10:80/TCP',
      'default/web LoadBalancer 192.0.2.10:80/TCP',
      'default/web NodePort *:30080/TCP',
      'kube-system/dns ClusterIP fd00:96::a:53/UDP',
    ]);
    const [cluster, balancer, node, v6] = frontends;
    expect(cluster).toMatchObject({
      portName: 'http',
      family: 4,
      externalTrafficPolicy: 'Local',
      affinity: { mode: 'ClientIP', timeoutSeconds: 600 },
      algorithm: 'random',
    });
    expect(cluster?.backends.map((b) => [b.ip, b.nodeName, b.zone, b.local, b.ready, b.usedFor])).toEqual([
      ['10.1.0.2', 'node1', 'a', true, true, ['internal', 'external']],
      ['10.1.1.2', 'node2', 'b', false, true, ['internal', 'external']],
      ['10.1.1.3', '', '', false, false, []],
    ]);
    expect(node?.backends.map((b) => b.usedFor)).toEqual([['internal', 'external'], ['internal'], []]);
    expect(balancer?.sourceRanges).toEqual(['198.51.100.0/24']);
    expect(v6?.algorithm).toBe('maglev');
    expect(v6?.backends.every((b) => b.usedFor.length === 2)).toBe(true);
    expect(reader.reader.addresses().find((a) => a.ip === '172.16.0.1')?.flags).toEqual([
      'node',
      'node_ports',
      'primary',
    ]);
    const tables = new Map(reader.reader.tables().map((t) => [t.name, t.used]));
    expect(tables.get('lb_backends')).toBe(6);
    expect(tables.get('lb_frontends')).toBe(4);
    expect(reader.reader.drops().every((d) => d.packets === 0)).toBe(true);
    expect(reader.readSettings()).toEqual(settings);
  });

  it('lays slots out with the stride that programs see', async () => {
    using datapath = await openDatapath(options);
    const [[, frontend]] = [...datapath.reader.entries('lb_frontends')].filter(
      ([key]) => key.addr === '10.96.0.10',
    ) as [[abi.LbFrontendKey, abi.LbFrontend]];
    const base = Number(frontend.internal & 0xffff_ffffn);
    // By system call, which copies by value size: a wrong stride would show as other ids.
    const ids = [base, base + 1].map((slot) => {
      const bytes = datapath
        .map('lb_slots')
        .lookup(new Uint8Array(new Uint32Array([slot]).buffer)) as Uint8Array;
      return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    });
    const backends = ids.map((id) => {
      const key = new Uint8Array(new Uint32Array([id]).buffer);
      return datapath.abi
        .map('lb_backends')
        .value.decode(datapath.map('lb_backends').lookup(key) as Uint8Array);
    });
    expect(backends.map((b) => `${b.addr}:${b.port}`)).toEqual(['10.1.0.2:8080', '10.1.1.2:8080']);
  });

  it('changes nothing on a second start with the same desired state', async () => {
    using datapath = await openDatapath(options);
    expect(datapath.reusedMaps.size).toBe(abi.MAP_NAMES.length);
    const { planner } = start(datapath);
    expect(planner.reconcile([web, dns]).toText()).toBe('');
  });

  it('removes what is no longer desired, and only then', async () => {
    using datapath = await openDatapath(options);
    const { planner, updater } = start(datapath);
    updater.apply(planner.apply({ upserts: [dns], removals: [] }));
    expect(datapath.reader.frontends()).toHaveLength(4);
    updater.apply(planner.reconcile([dns]));
    await updater.idle();
    expect(datapath.reader.frontends().map((f) => f.name)).toEqual(['dns']);
    expect([...datapath.reader.services().values()].map((s) => s.name)).toEqual(['dns']);
    expect([...datapath.reader.entries('lb_src_ranges')]).toEqual([]);
    expect(datapath.reader.localities().size).toBe(0);
    // The node's own address stays until the node's addresses are told anew.
    expect(
      datapath.reader
        .addresses()
        .map((a) => a.ip)
        .sort(),
    ).toEqual(['172.16.0.1', 'fd00:96::a']);
  });

  it('writes many entries in batches', async () => {
    using datapath = await openDatapath(options);
    const { planner, updater } = start(datapath);
    const many = Array.from({ length: 200 }, (_, i) =>
      desiredService({
        name: `s${i}`,
        frontends: [clusterIP(`10.97.0.${i + 1}`)],
        backends: [`10.2.0.${i + 1}:80`],
      }),
    );
    updater.apply(planner.reconcile([dns, ...many]));
    await updater.idle();
    expect(datapath.reader.frontends()).toHaveLength(201);
    updater.apply(planner.reconcile([dns]));
    await updater.idle();
    expect(datapath.reader.frontends()).toHaveLength(1);
  });

  it('refuses a second updater, other sizes, a path on no bpffs and an empty path', async () => {
    const datapath = await openDatapath(options);
    await expect(openDatapath(options)).rejects.toThrow(/another agent is updating it \(EBUSY\)/);
    datapath.close();
    await expect(openDatapath({ ...options, sizes: { ...sizes, backends: 2048 } })).rejects.toThrow(
      /pinned maps do not fit[\s\S]*shunt cleanup --pin-path[\s\S]*lb_backends/,
    );
    await expect(openDatapath({ ...options, pinPath: '/tmp/shunt-no-bpffs' })).rejects.toThrow(
      /not on a BPF file system \(EINVAL\)/,
    );
    expect(() => openReadOnly({ pinPath: `${pinPath}-absent` })).toThrow(
      /no data path is pinned there \(ENOENT\)/,
    );
  });

  it('names a pinned map of another shape', async () => {
    const other = `${pinPath}-shape`;
    try {
      (await openDatapath({ ...options, pinPath: other })).close();
      rmSync(join(layoutDirectory(other), 'lb_frontends'));
      using wrong = BpfMap.create({
        name: 'lb_frontends',
        type: 1,
        keySize: 24,
        valueSize: 48,
        maxEntries: 512,
        flags: 1,
      });
      wrong.pin(join(layoutDirectory(other), 'lb_frontends'));
      await expect(openDatapath({ ...options, pinPath: other })).rejects.toThrow(/lb_frontends/);
      expect(() => openReadOnly({ pinPath: other })).toThrow(/lb_frontends/);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('loads a twin that shares the maps and writes none', async () => {
    (await openDatapath(options)).close();
    using reader = openReadOnly({ pinPath });
    using twin = await reader.loadTwin({}, ['tc_uplink_in']);
    expect(twin.map('lb_frontends').info.id).toBe(reader.map('lb_frontends').info.id);
    expect(twin.programNames).toEqual(['tc_uplink_in']);
  });
});

describe('the flow sweeper', () => {
  const second = 1_000_000_000n;
  const tuple = (n: number, dir: number): abi.CtTuple =>
    dir === abi.CT_ORIGINAL
      ? { src: '10.0.0.1', dst: '10.96.0.1', sport: n, dport: 80, proto: 6, dir }
      : { src: '10.1.0.1', dst: '10.0.0.1', sport: 8080, dport: n, proto: 6, dir };
  const flow = (peer: abi.CtTuple, flags: number, seen: bigint): abi.CtFlow => ({
    peer,
    created_ns: 0n,
    last_seen_ns: seen,
    packets: 1n,
    bytes: 60n,
    flags,
    service_id: 1,
    backend_id: 1,
    backend_generation: 1,
    ack_next: 0,
    ingress_ifindex: 0,
    next_hop: {
      expires_ns: 0n,
      generation: 0,
      ifindex: 0,
      dmac: new Uint8Array(6),
      smac: new Uint8Array(6),
      mtu: 0,
    },
  });

  it('removes pairs by state and by the later half, halves alone after 30 s, and leaves the rest', async () => {
    using datapath = await openDatapath(options);
    const map = datapath.map('ct_flows');
    const codec = datapath.abi.map('ct_flows');
    const now = monotonicNs() + 200_000n * second;
    const write = (n: number, dir: number, flags: number, idle: bigint) => {
      const peer = tuple(n, dir === abi.CT_ORIGINAL ? abi.CT_REPLY : abi.CT_ORIGINAL);
      map.update(codec.key.encode(tuple(n, dir)), codec.value.encode(flow(peer, flags, now - idle * second)));
    };
    const pair = (n: number, flags: number, idle: bigint, replyIdle = idle) => {
      write(n, abi.CT_ORIGINAL, flags, idle);
      write(n, abi.CT_REPLY, 0, replyIdle);
    };
    const fins = abi.CT_F_FIN_ORIGINAL | abi.CT_F_FIN_REPLY;
    pair(1, 0, 86_401n);
    pair(2, 0, 86_401n, 5n);
    pair(3, fins, 61n);
    pair(4, fins, 59n);
    pair(5, abi.CT_F_FIN_ORIGINAL, 3601n);
    pair(6, abi.CT_F_FIN_ORIGINAL, 3599n);
    pair(7, abi.CT_F_RST, 11n);
    write(8, abi.CT_ORIGINAL, 0, 31n);
    write(9, abi.CT_REPLY, 0, 29n);
    for (let n = 100; n < 150; n++) pair(n, 0, 1n);
    const sweeper = new FlowSweeper({ abi: datapath.abi, map, now: () => now });
    const total = { seen: 0, expired: 0, orphans: 0, steps: 0 };
    for (let done = false; !done; ) {
      const result = sweeper.step(40);
      expect(result.seen).toBeLessThanOrEqual(40);
      total.seen += result.seen;
      total.expired += result.expired;
      total.orphans += result.orphans;
      total.steps++;
      done = result.isPassDone;
    }
    expect(total).toMatchObject({ expired: 4, orphans: 1 });
    expect(total.steps).toBeGreaterThan(2);
    const keys = [...datapath.reader.entries('ct_flows')].map(([key]) => key);
    const ports = keys
      .map((k) => (k.dir === abi.CT_ORIGINAL ? k.sport : k.dport))
      .filter((port) => port < 100)
      .sort((a, b) => a - b);
    expect(ports).toEqual([2, 2, 4, 4, 6, 6, 9]);
    const view = datapath.reader.flows(now).find((f) => f.client.port === 4);
    expect(view).toMatchObject({
      protocol: 'TCP',
      frontend: { ip: '10.96.0.1', port: 80 },
      backend: { ip: '10.1.0.1', port: 8080, id: 1 },
      state: 'closing',
      idleSeconds: 59,
    });
  });
});
