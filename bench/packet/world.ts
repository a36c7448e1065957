/** One load of the programs under test with maps of its own, written as the agent would write them. */
import { readFileSync } from 'node:fs';
import {
  type Abi,
  ADDRESS_F_NODE,
  ADDRESS_F_NODE_PORTS,
  ADDRESS_F_PRIMARY,
  DEVICE_POD,
  DEVICE_UPLINK,
  drop_reason,
  lb_path,
  type MapKey,
  type MapName,
  type MapValue,
  readAbi,
} from '../../src/abi/index.js';
import { BpfObject } from '../../src/native/index.js';
import { BOOKS, DEVICES, makeNetwork } from './network.js';
import { ServiceWriter } from './services.js';

export type ProgramName = 'tc_pod_in' | 'tc_pod_out' | 'tc_uplink_in' | 'tc_uplink_out' | 'xdp_uplink';

const SHARDS = 8;
/** Those that new flows go to; established TCP stays. */
const NEW_FLOW_TABLES = ['ct_half_open', 'ct_any'] as const;

/** Counts by name since the last look: paths without PATH_, drops without DROP_REASON_. */
export type Counted = Record<string, number>;

export class BenchWorld implements Disposable {
  readonly services: ServiceWriter;
  readonly #counters: { name: string; values: BigUint64Array; at: number[] }[] = [];

  /**
   * @param path of the object under test
   * @param programs the ones to load: each costs the verifier's time
   * @throws Error unless this process has a network namespace of its own; BpfError when the load fails.
   */
  static async open(path: string, programs: readonly ProgramName[]): Promise<BenchWorld> {
    makeNetwork();
    const abi = readAbi(readFileSync(path));
    const settings = abi.struct('lb_settings').encode({
      host_netns_cookie: 0n,
      flags: 0,
      event_sample: 0,
      hash_seed: 0,
      snat_port_min: 10_000,
      snat_port_max: 29_999,
      hairpin4: BOOKS[4].hairpin,
      hairpin6: BOOKS[6].hairpin,
      // Refusals are measured too: their rate limit must not be.
      refusals_per_s: 0xffff_ffff,
    });
    const object = await BpfObject.load({
      path,
      rodata: { settings },
      // Room for every service of both families and protocols.
      maxEntries: { stats_services: 65_536 * SHARDS },
      programs: [...programs],
    });
    return new BenchWorld(object, abi);
  }

  private constructor(
    readonly object: BpfObject,
    readonly abi: Abi,
  ) {
    this.services = new ServiceWriter(this);
    this.#writeNode();
    this.#findCounters();
  }

  set<M extends MapName>(name: M, key: MapKey<M>, value: MapValue<M>): void {
    const codec = this.abi.map(name);
    this.object.map(name).update(codec.key.encode(key), codec.value.encode(value));
  }

  entries<M extends MapName>(name: M): [MapKey<M>, MapValue<M>][] {
    const codec = this.abi.map(name);
    return Array.from(this.object.map(name).entries(), ([k, v]) => [
      codec.key.decode(k),
      codec.value.decode(v),
    ]);
  }

  /** Writes many entries with few calls. */
  setAll<M extends MapName>(name: M, all: readonly (readonly [MapKey<M>, MapValue<M>])[]): void {
    const { key, value } = this.abi.map(name);
    const keys = new Uint8Array(all.length * key.size);
    const values = new Uint8Array(all.length * value.size);
    all.forEach(([k, v], i) => {
      key.encode(k, keys, i * key.size);
      value.encode(v, values, i * value.size);
    });
    this.object.map(name).updateBatch(keys, values, all.length);
  }

  /** Forgets every flow but established TCP. */
  clearNewFlows(): void {
    for (const name of NEW_FLOW_TABLES) {
      const map = this.object.map(name);
      const keys = Array.from(map.entries(), ([key]) => key);
      const joined = new Uint8Array(keys.length * map.info.keySize);
      keys.forEach((key, i) => {
        joined.set(key, i * map.info.keySize);
      });
      map.deleteBatch(joined, keys.length);
    }
  }

  /** Everything that the data path has counted: paths, drops, and new flows of all services. */
  counted(): Counted {
    const counted: Counted = {};
    for (const { name, values, at } of this.#counters) {
      let total = 0n;
      for (const index of at) total += values[index] as bigint;
      if (total > 0n) counted[name] = Number(total);
    }
    const newFlows = this.services.newFlows();
    if (newFlows > 0) counted.NEW_FLOWS = newFlows;
    return counted;
  }

  #writeNode(): void {
    const { uplink, pod1, pod2 } = DEVICES;
    this.set('lb_devices', uplink.ifindex, {
      class_: DEVICE_UPLINK,
      mtu: uplink.mtu,
      netns: 0,
      bridge: 0,
      mac: bytesOf(uplink.mac),
    });
    for (const pod of [pod1, pod2]) {
      this.set('lb_devices', pod.ifindex, {
        class_: DEVICE_POD,
        mtu: pod.mtu,
        netns: 0,
        bridge: 0,
        mac: bytesOf(pod.mac),
      });
    }
    for (const family of [4, 6] as const) {
      const addr = BOOKS[family].node;
      const flags = ADDRESS_F_NODE | ADDRESS_F_NODE_PORTS | ADDRESS_F_PRIMARY;
      this.set('lb_addresses', addr, { flags, frontends: 0 });
      this.set('snat_sources', { ifindex: uplink.ifindex, family }, { addr });
      this.set('snat_sources', { ifindex: 0, family }, { addr });
    }
    this.set('lb_config', 0, {
      fib_generation: 1n,
      takeover_until_ns: 0n,
      agent_seen_ns: 0n,
      layout_version: 1n,
      drain: 0n,
    });
  }

  /** Packets counters of stats_paths and stats_drops: the first word of each element. */
  #findCounters(): void {
    const find = (map: MapName, table: Record<string, number>, prefix: string, end: string) => {
      const { valueStride } = this.object.map(map);
      const values = new BigUint64Array(this.object.map(map).mmap());
      for (const [name, value] of Object.entries(table)) {
        if (name === end) continue;
        const at = Array.from({ length: SHARDS }, (_, shard) => (value * SHARDS + shard) * (valueStride / 8));
        this.#counters.push({ name: name.replace(prefix, ''), values, at });
      }
    };
    find('stats_paths', lb_path, 'PATH_', 'PATH_MAX');
    find('stats_drops', drop_reason, 'DROP_REASON_', 'DROP_REASON_MAX');
  }

  close(): void {
    this.object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function bytesOf(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
}
