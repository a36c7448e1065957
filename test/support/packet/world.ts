import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import {
  type Abi,
  ADDRESS_F_LOOPBACK,
  ADDRESS_F_NODE,
  ADDRESS_F_NODE_PORTS,
  ADDRESS_F_PRIMARY,
  CT_F_FROM_POD,
  CT_F_FROM_WIRE,
  CT_F_SEEN_SYNACK,
  type CtFlow,
  ct_flow_flags,
  drop_reason,
  flagNames,
  type LbConfig,
  type LbSettings,
  lb_device_class,
  lb_path,
  type MapName,
  readAbi,
  SETTING_FIXED_CHOICE,
  type StatsService,
} from '../../../src/abi/index.js';
import { BpfObject, bpfObjectPath } from '../../../src/native/index.js';
import { type Bytes, parseIp, parseMac } from './bytes.js';
import { TypedArray, TypedMap } from './maps.js';
import { DEVICES, type DeviceName, makeNetwork } from './netns.js';
import { type ServiceSpec, TestService } from './services.js';
import { PROTOCOL } from './spec.js';
import { type ProgramName, type RunOptions, type RunResult, runProgram } from './test-run.js';

const PROGRAMS: ProgramName[] = ['tc_pod_in', 'tc_pod_out', 'tc_uplink_in', 'tc_uplink_out', 'xdp_uplink'];

// Small enough to be cleared between rows, large enough for an LRU's per-CPU shares.
const SIZES: Partial<Record<MapName | 'ct_closed', number>> = {
  lb_frontends: 256,
  lb_slots: 2048,
  lb_backends: 256,
  lb_addresses: 256,
  lb_affinity: 1024,
  lb_src_ranges: 256,
  ct_flows: 16,
  // Fewer notes of connections that former tests have ended than a packet looks at.
  ct_closed: 16,
  ct_half_open: 1024,
  ct_any: 1024,
  sock_reverse: 256,
  frags: 256,
  stats_services: 64 * 8,
  stats_backends: 256,
  meta_services: 16,
  meta_localities: 16,
};

const HIDDEN = CT_F_SEEN_SYNACK | CT_F_FROM_POD | CT_F_FROM_WIRE;
const STATS_SHARDS = 8;
const DIRECTIONS = ['original', 'reply', 'middle'];

/** Where the tests' own settings differ from zero. One SNAT port: every byte can be written down. */
const SETTINGS: LbSettings = {
  host_netns_cookie: 0n,
  flags: SETTING_FIXED_CHOICE,
  event_sample: 0,
  snat_port_min: 20000,
  snat_port_max: 20000,
  hairpin4: '169.254.42.1',
  hairpin6: 'fd00:5408:1::1',
  refusals_per_s: 1_000_000,
  hash_seed: 0,
};

/** The object is that of the build, or of SHUNT_TEST_BPF_OBJECT. */
export interface WorldOptions {
  /** Besides those that packets run through. */
  programs?: string[];
  /** Table sizes that differ from the tests' own. */
  sizes?: Partial<Record<MapName, number>>;
}

/** Counts since the last reset(), zeros left out; names without their prefixes. */
export interface Counters {
  paths: Record<string, number>;
  drops: Record<string, number>;
  /** By service id. */
  services: Record<number, Partial<Record<keyof StatsService, number>>>;
}

/**
 * One node as the programs see it: the real object with private maps, in this process' own network
 * namespace. State is written as an agent would, packets go in by BPF_PROG_TEST_RUN.
 */
export class PacketWorld implements Disposable {
  readonly object: BpfObject;
  readonly abi: Abi;
  readonly frontends;
  readonly addresses;
  readonly devices;
  readonly snatSources;
  readonly affinity;
  readonly frags;
  readonly ct;
  readonly slots;
  readonly backends;
  readonly config;
  nextServiceId = 1;
  nextBackendId = 1;
  nextSlot = 0;
  /** Made by service() since the last reset(). */
  made: TestService[] = [];
  readonly #ranges;
  readonly #xdpDevices;
  readonly #stats;

  /** @param settings what differs from the tests' own settings; each needs a load of its own. */
  static async open(settings: Partial<LbSettings> = {}, o: WorldOptions = {}): Promise<PacketWorld> {
    makeNetwork();
    const path = process.env.SHUNT_TEST_BPF_OBJECT ?? bpfObjectPath();
    const abi = readAbi(readFileSync(path));
    const rodata = abi.struct('lb_settings').encode({ ...SETTINGS, ...settings });
    const object = await BpfObject.load({
      path,
      rodata: { settings: rodata },
      maxEntries: { ...SIZES, ...o.sizes } as Record<string, number>,
      programs: [...PROGRAMS, ...(o.programs ?? [])],
    });
    const world = new PacketWorld(object, abi);
    world.reset();
    return world;
  }

  private constructor(object: BpfObject, abi: Abi) {
    this.object = object;
    this.abi = abi;
    const map = <M extends MapName>(name: M) => new TypedMap(object, abi, name);
    const array = <M extends MapName>(name: M) => new TypedArray(object, abi, name);
    this.frontends = map('lb_frontends');
    this.addresses = map('lb_addresses');
    this.devices = map('lb_devices');
    this.snatSources = map('snat_sources');
    this.affinity = map('lb_affinity');
    this.frags = map('frags');
    this.ct = { half_open: map('ct_half_open'), flows: map('ct_flows'), any: map('ct_any') };
    this.slots = array('lb_slots');
    this.backends = array('lb_backends');
    this.config = array('lb_config');
    this.#ranges = map('lb_src_ranges');
    this.#xdpDevices = map('xdp_devices');
    this.#stats = {
      services: array('stats_services'),
      backends: array('stats_backends'),
      drops: array('stats_drops'),
      paths: array('stats_paths'),
    };
  }

  /** Nothing but the node itself: its devices, addresses and SNAT sources. */
  reset(): void {
    const maps = [this.frontends, this.addresses, this.devices, this.snatSources, this.affinity, this.frags];
    for (const m of [...maps, ...Object.values(this.ct), this.#ranges, this.#xdpDevices]) m.clear();
    for (const a of [this.slots, this.backends, this.config, ...Object.values(this.#stats)]) a.clear();
    this.#clearWork();
    this.nextServiceId = 1;
    this.nextBackendId = 1;
    this.nextSlot = 0;
    this.made = [];
    const node = ADDRESS_F_NODE | ADDRESS_F_NODE_PORTS;
    for (const [name, d] of Object.entries(DEVICES)) {
      this.devices.set(d.ifindex, {
        class_: lb_device_class[d.class],
        mtu: d.mtu,
        netns: 0,
        bridge: 0,
        mac: parseMac(d.mac),
      });
      if (!('ip4' in d)) continue;
      const primary = name === 'uplink' ? ADDRESS_F_PRIMARY : 0;
      for (const [family, addr] of [
        [4, d.ip4],
        [6, d.ip6],
      ] as const) {
        this.addresses.set(addr, { flags: node | primary, frontends: 0 });
        this.snatSources.set({ ifindex: d.ifindex, family }, { addr });
        if (primary) this.snatSources.set({ ifindex: 0, family }, { addr });
      }
    }
    for (const addr of ['127.0.0.1', '::1']) {
      this.addresses.set(addr, { flags: node | ADDRESS_F_LOOPBACK, frontends: 0 });
    }
    this.configure({});
  }

  service(spec: ServiceSpec): TestService {
    const service = new TestService(this, spec);
    this.made.push(service);
    return service;
  }

  configure(o: Partial<LbConfig>): void {
    this.config.set(0, {
      fib_generation: 1n,
      takeover_until_ns: 0n,
      agent_seen_ns: 0n,
      layout_version: 1n,
      drain: 0n,
      ...o,
    });
  }

  /** A set of source ranges such as `10.0.0.0/8`. */
  sourceRanges(set: number, cidrs: string[]): void {
    for (const cidr of cidrs) {
      const [addr, bits] = cidr.split('/') as [string, string];
      const inMapped = parseIp(addr).length === 4 ? 96 : 0;
      this.#ranges.set({ prefixlen: 32 + inMapped + Number(bits), range_set_id: set, addr }, 1);
    }
  }

  /** The device is proven to take frames from XDP. */
  xdpDevice(name: DeviceName): void {
    const { ifindex } = DEVICES[name];
    this.#xdpDevices.set(ifindex, ifindex);
  }

  /** Makes everything that remembers a time older. */
  passTime(seconds: number): void {
    const by = BigInt(Math.round(seconds * 1e9));
    const earlier = (ns: bigint) => (ns > by ? ns - by : 1n);
    for (const table of Object.values(this.ct)) {
      for (const [k, f] of table.entries()) {
        const next_hop = { ...f.next_hop, expires_ns: earlier(f.next_hop.expires_ns) };
        table.set(k, {
          ...f,
          created_ns: earlier(f.created_ns),
          last_seen_ns: earlier(f.last_seen_ns),
          next_hop,
        });
      }
    }
    for (const [k, a] of this.affinity.entries()) {
      this.affinity.set(k, { ...a, last_used_ns: earlier(a.last_used_ns) });
    }
    for (const [k, p] of this.frags.entries()) this.frags.set(k, { ...p, created_ns: earlier(p.created_ns) });
    this.#clearWork();
  }

  /** The programs' working set as it is after a load: it has times too, and nothing that must last. */
  #clearWork(): void {
    const scratch = this.object.map('scratch');
    const key = new Uint8Array(scratch.info.keySize);
    const bytes = scratch.lookup(key);
    if (bytes) scratch.update(key, new Uint8Array(bytes.length));
  }

  /** Keeps this process on one CPU from now on, where the programs' working set is as after a load. */
  onOneCpu(): void {
    execFileSync('taskset', ['-cp', '0', String(process.pid)], { stdio: 'pipe' });
    this.#clearWork();
  }

  /** Runs one program on one frame. */
  run(program: ProgramName, frame: Bytes, on: DeviceName, o: RunOptions = {}): RunResult {
    return runProgram(this.object.program(program), program, frame, DEVICES[on].ifindex, o);
  }

  /** All flow entries as sorted lines; see flowPair() in table.ts for the form. */
  flows(): string[] {
    const lines: string[] = [];
    for (const [table, map] of Object.entries(this.ct)) {
      for (const [k, f] of map.entries()) {
        const proto = Object.entries(PROTOCOL).find(([, n]) => n === k.proto)?.[0] ?? String(k.proto);
        const from = `${proto} ${endpoint(k.src, k.sport)} > ${endpoint(k.dst, k.dport)}`;
        const to = `${endpoint(f.peer.dst, f.peer.dport)} > ${endpoint(f.peer.src, f.peer.sport)}`;
        lines.push(`${table} ${DIRECTIONS[k.dir]} ${from} = ${to}${flagText(f)}`);
      }
    }
    return lines.sort();
  }

  counters(): Counters {
    const counters: Counters = { paths: {}, drops: {}, services: {} };
    const sum = (table: Record<string, number>, prefix: string, of: (index: number) => bigint) => {
      const found: Record<string, number> = {};
      for (const [name, value] of Object.entries(table)) {
        if (name.endsWith('_MAX')) continue;
        let n = 0;
        for (let shard = 0; shard < STATS_SHARDS; shard++) n += Number(of(value * STATS_SHARDS + shard));
        if (n > 0) found[name.slice(prefix.length)] = n;
      }
      return found;
    };
    counters.paths = sum(lb_path, 'PATH_', (i) => this.#stats.paths.get(i).packets);
    counters.drops = sum(drop_reason, 'DROP_REASON_', (i) => this.#stats.drops.get(i).packets);
    for (let id = 0; id < this.nextServiceId; id++) {
      const total: Partial<Record<keyof StatsService, number>> = {};
      for (let shard = 0; shard < STATS_SHARDS; shard++) {
        const s = this.#stats.services.get(id * STATS_SHARDS + shard);
        for (const [field, n] of Object.entries(s) as [keyof StatsService, bigint][]) {
          if (n > 0n) total[field] = (total[field] ?? 0) + Number(n);
        }
      }
      if (Object.keys(total).length > 0) counters.services[id] = total;
    }
    return counters;
  }

  /** New flows that a backend id got. */
  backendFlows(id: number): number {
    return Number(this.#stats.backends.get(id).new_flows);
  }

  [Symbol.dispose](): void {
    this.object.close();
  }
}

export const endpoint = (ip: string, port: number): string =>
  ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;

/** Left out: what only one entry carries between two packets, and where the client is (rows of their own tell). */
function flagText(f: CtFlow): string {
  const names = flagNames(ct_flow_flags, f.flags & ~HIDDEN).map((n) => n.replace('CT_F_', ''));
  return names.length > 0 ? ` ${names.join(' ')}` : '';
}
