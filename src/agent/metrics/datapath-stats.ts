import { type Abi, BACKEND_F_ALIVE, DROP_REASON_MAX, fieldOffset } from '../../abi/index.js';
import type { Datapath } from '../../datapath/open.js';
import type { ServiceCounters } from '../../datapath/views.js';
import { Census } from './census.js';
import type { ServiceLabels, ServiceStat } from './service-series.js';
import type { DatapathStats } from './shunt-metrics.js';

/** Hash tables whose fill is worth knowing. */
const COUNTED = [
  'lb_frontends',
  'lb_addresses',
  'lb_src_ranges',
  'lb_affinity',
  'ct_flows',
  'ct_half_open',
  'ct_any',
  'sock_reverse',
  'frags',
  'meta_services',
] as const;

const PROTOCOLS: Record<number, string> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };

const FIELDS = {
  newFlows: 'new_flows',
  packets: 'packets',
  bytes: 'bytes',
  replyPackets: 'reply_packets',
  replyBytes: 'reply_bytes',
  refused: 'refused',
  dropped: 'dropped',
  affinityHits: 'affinity_hits',
} as const;

type DatapathPart = Pick<Datapath, 'abi' | 'map' | 'reader'>;

/** Counters of the live maps, cheap enough for a scrape every few seconds at 10,000 services. */
export class KernelDatapathStats implements DatapathStats {
  readonly #d: DatapathPart;
  readonly #census: Census;
  /** Names by service id, valid for one state of the maps. */
  #names: { plans: number; byId: [number, ServiceLabels][] } | undefined;

  constructor(
    datapath: DatapathPart,
    /** Grows with every plan that is written. */
    private readonly plansWritten: () => number,
  ) {
    this.#d = datapath;
    this.#census = new Census(COUNTED.map((name) => [name, datapath.map(name)]));
  }

  /** Counts a piece of the tables; call it about once a second. */
  step(): void {
    this.#census.step();
  }

  drops(): { reason: string; packets: number }[] {
    return this.#d.reader.drops();
  }

  paths(): { path: string; packets: number; bytes: number }[] {
    return this.#d.reader.paths();
  }

  tables(): { name: string; entries: number | undefined; maxEntries: number }[] {
    const rows = COUNTED.map((name) => ({
      name: name as string,
      entries: this.#census.get(name),
      maxEntries: this.#d.map(name).info.maxEntries,
    }));
    const { maxEntries } = this.#d.map('lb_backends').info;
    rows.push({ name: 'lb_backends', entries: this.#aliveBackends(), maxEntries });
    return rows;
  }

  *services(): Generator<ServiceStat> {
    const table = this.#d.map('stats_services');
    const shards = this.#shards();
    const reader = new ShardReader(this.#d.abi, table.mmap(), table.valueStride, shards);
    for (const [id, labels] of this.#serviceNames()) yield { id, labels, counters: reader.read(id) };
  }

  /** stats_drops has one row of shards per reason. */
  #shards(): number {
    return this.#d.map('stats_drops').info.maxEntries / DROP_REASON_MAX;
  }

  #serviceNames(): [number, ServiceLabels][] {
    const plans = this.plansWritten();
    if (this.#names?.plans === plans) return this.#names.byId;
    const byId = [...this.#d.reader.services()].map(([id, meta]): [number, ServiceLabels] => [
      id,
      {
        namespace: meta.namespace_,
        service: meta.name,
        port: meta.port_name,
        protocol: PROTOCOLS[meta.proto] ?? String(meta.proto),
        ip_family: meta.family === 6 ? 'IPv6' : 'IPv4',
      },
    ]);
    this.#names = { plans, byId };
    return byId;
  }

  #aliveBackends(): number {
    const map = this.#d.map('lb_backends');
    const words = new Uint32Array(map.mmap());
    const stride = map.valueStride / 4;
    const state = fieldOffset(this.#d.abi.layout('lb_backend'), 'state') / 4;
    let alive = 0;
    for (let at = stride + state; at < words.length; at += stride) {
      if (((words[at] as number) & BACKEND_F_ALIVE) !== 0) alive++;
    }
    return alive;
  }
}

/** Sums the shards of one service by halves of 64-bit words: no bigint per counter. */
class ShardReader {
  readonly #words: Uint32Array;
  readonly #offsets: [keyof ServiceCounters, number][];

  constructor(
    abi: Abi,
    buffer: ArrayBuffer,
    private readonly stride: number,
    private readonly shards: number,
  ) {
    this.#words = new Uint32Array(buffer);
    const layout = abi.layout('stats_service');
    this.#offsets = Object.entries(FIELDS).map(([name, field]) => [
      name as keyof ServiceCounters,
      fieldOffset(layout, field) / 4,
    ]);
  }

  read(id: number): ServiceCounters {
    const counters = {} as ServiceCounters;
    for (const [name, offset] of this.#offsets) {
      let sum = 0;
      for (let shard = 0; shard < this.shards; shard++) {
        const at = ((id * this.shards + shard) * this.stride) / 4 + offset;
        sum += (this.#words[at] ?? 0) + (this.#words[at + 1] ?? 0) * 2 ** 32;
      }
      counters[name] = sum;
    }
    return counters;
  }
}
