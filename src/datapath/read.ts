import type {
  Abi,
  LbBackend,
  LbConfig,
  MapKey,
  MapName,
  MapValue,
  MetaLocality,
  MetaService,
} from '../abi/index.js';
import * as abi from '../abi/index.js';
import { statsOf } from './counters.js';
import type { MapByName } from './handles.js';
import { statsShards } from './kernelStore.js';
import { PROTOCOLS } from './protocols.js';
import { readFlowViews, secondsBetween } from './readFlows.js';
import { type FrontendRow, frontendView } from './readFrontends.js';
import type {
  AddressView,
  AffinityView,
  BackendView,
  FlowView,
  FrontendView,
  ServiceCounters,
  ServiceRef,
  TableView,
} from './views.js';

/**
 * Typed reading of the live maps. Every call reads anew; under concurrent writers an answer may mix
 * entries of before and after a change.
 */
export class MapReader {
  readonly #abi: Abi;
  readonly #map: MapByName;

  constructor(abi_: Abi, map: MapByName) {
    this.#abi = abi_;
    this.#map = map;
  }

  /** Decoded entries of a map in its order; arrays without their all-zero elements. */
  *entries<M extends MapName>(name: M): Generator<[MapKey<M>, MapValue<M>]> {
    const codec = this.#abi.map(name);
    const map = this.#map(name);
    const isArray = map.info.type === 2;
    for (const [key, value] of map.entries()) {
      if (isArray && value.every((byte) => byte === 0)) continue;
      yield [codec.key.decode(key), codec.value.decode(value)];
    }
  }

  /** By id. */
  services(): Map<number, MetaService> {
    return new Map(this.entries('meta_services'));
  }

  localities(): Map<number, MetaLocality> {
    return new Map(this.entries('meta_localities'));
  }

  /** Backends that are alive, by id. */
  backends(services = this.services()): Map<number, BackendView> {
    const localities = this.localities();
    const flows = new BigUint64Array(this.#map('stats_backends').mmap());
    const result = new Map<number, BackendView>();
    for (const [id, b] of this.#backendEntries()) {
      if ((b.state & abi.BACKEND_F_ALIVE) === 0) continue;
      result.set(id, backendView(id, b, refOf(b.service_id, services), localities, Number(flows[id] ?? 0n)));
    }
    return result;
  }

  /** Every frontend with its backends, sorted by service, type, address and port. */
  frontends(): FrontendView[] {
    const services = this.services();
    const backends = this.backends(services);
    const byService = new Map<number, BackendView[]>();
    for (const b of backends.values()) {
      const list = byService.get(b.serviceId);
      if (list) list.push(b);
      else byService.set(b.serviceId, [b]);
    }
    const ranges = new Map<number, string[]>();
    for (const [key] of this.entries('lb_src_ranges')) {
      const bits = key.prefixlen - 32 - (key.addr.includes(':') ? 0 : 96);
      ranges.set(key.range_set_id, [...(ranges.get(key.range_set_id) ?? []), `${key.addr}/${bits}`]);
    }
    const rows: FrontendRow[] = [...this.entries('lb_frontends')].map(([key, value]) => ({ key, value }));
    // Only external frontends carry the external policy; it belongs to the whole service.
    const isLocal = new Set(
      rows.filter((r) => r.value.flags & abi.FRONTEND_F_EXTERNAL_LOCAL).map((r) => r.value.service_id),
    );
    const slots = new Uint32Array(this.#map('lb_slots').mmap());
    const stride = this.#map('lb_slots').valueStride / 4;
    return rows
      .map((row) =>
        frontendView(row, {
          ref: refOf(row.value.service_id, services),
          isExternalLocal: isLocal.has(row.value.service_id),
          backends: byService.get(row.value.service_id) ?? [],
          sourceRanges: ranges.get(row.value.range_set_id) ?? [],
          slot: (index) => slots[index * stride] ?? 0,
        }),
      )
      .sort(compareFrontends);
  }

  /** Flows by their original direction. `nowNs` is CLOCK_MONOTONIC. */
  flows(nowNs: bigint): FlowView[] {
    const services = this.services();
    return readFlowViews(
      (name) => this.entries(name),
      (id) => refOf(id, services),
      nowNs,
    );
  }

  affinities(nowNs: bigint): AffinityView[] {
    const services = this.services();
    const backends = this.backends(services);
    const result: AffinityView[] = [];
    for (const [key, value] of this.entries('lb_affinity')) {
      const meta = services.get(key.service_id);
      const b = backends.get(value.backend_id);
      const isSame = b !== undefined && b.generation === value.backend_generation;
      const idle = secondsBetween(value.last_used_ns, nowNs);
      const timeoutSeconds = meta?.affinity_timeout_s ?? 0;
      result.push({
        ...refOf(key.service_id, services),
        client: key.client === '::' ? '' : key.client,
        backend: isSame ? { ip: b.ip, port: b.port, id: b.id } : undefined,
        idleSeconds: idle,
        timeoutSeconds,
        valid: isSame && idle < timeoutSeconds,
      });
    }
    return result;
  }

  addresses(): AddressView[] {
    return [...this.entries('lb_addresses')].map(([ip, value]) => ({
      ip,
      flags: abi.flagNames(abi.lb_address_flags, value.flags).map((n) => abi.shortName(n, 'ADDRESS_F_')),
      frontends: value.frontends,
    }));
  }

  /** Counters of one service id. */
  serviceCounters(id: number): ServiceCounters {
    const shards = statsShards(this.#map);
    const [newFlows, packets, bytes, replyPackets, replyBytes, refused, dropped, affinityHits] = statsOf(
      this.#abi,
      this.#map,
      'stats_services',
      id,
      shards,
      [
        'new_flows',
        'packets',
        'bytes',
        'reply_packets',
        'reply_bytes',
        'refused',
        'dropped',
        'affinity_hits',
      ],
    ) as [number, number, number, number, number, number, number, number];
    return { newFlows, packets, bytes, replyPackets, replyBytes, refused, dropped, affinityHits };
  }

  /** Dropped packets by cause; every cause that the data path knows, lower case. */
  drops(): { reason: string; packets: number }[] {
    const shards = statsShards(this.#map);
    return Object.entries(abi.drop_reason)
      .filter(([, value]) => value !== abi.DROP_REASON_NONE && value !== abi.DROP_REASON_MAX)
      .map(([name, value]) => ({
        reason: abi.shortName(name, 'DROP_REASON_'),
        packets: statsOf(this.#abi, this.#map, 'stats_drops', value, shards, ['packets'])[0] as number,
      }));
  }

  /** What became of packets; every path that the data path knows, lower case. */
  paths(): { path: string; packets: number; bytes: number }[] {
    const shards = statsShards(this.#map);
    return Object.entries(abi.lb_path)
      .filter(([, value]) => value !== abi.PATH_NONE && value !== abi.PATH_MAX)
      .map(([name, value]) => {
        const [packets, bytes] = statsOf(this.#abi, this.#map, 'stats_paths', value, shards, [
          'packets',
          'bytes',
        ]);
        return { path: abi.shortName(name, 'PATH_'), packets: packets as number, bytes: bytes as number };
      });
  }

  config(): LbConfig {
    const bytes = this.#map('lb_config').lookup(new Uint8Array(4)) ?? new Uint8Array(0);
    return this.#abi.map('lb_config').value.decode(bytes);
  }

  /** Every map with its size and use, sorted by name. */
  tables(): TableView[] {
    return [...this.#abi.maps.values()].map((definition) => {
      const { info } = this.#map(definition.name);
      const isCounted = definition.key !== undefined && !definition.name.startsWith('stats_');
      return {
        name: definition.name,
        type: info.type,
        keyBytes: info.keySize,
        valueBytes: info.valueSize,
        maxEntries: info.maxEntries,
        used: isCounted ? this.#used(definition.name as MapName) : undefined,
      };
    });
  }

  #used(name: MapName): number {
    let n = 0;
    if (name === 'lb_backends') {
      for (const [, b] of this.#backendEntries()) if (b.state & abi.BACKEND_F_ALIVE) n++;
    } else if (name === 'lb_slots') {
      const runs = new Map<number, number>();
      for (const [, fe] of this.entries('lb_frontends')) {
        for (const word of [fe.internal, fe.external]) {
          runs.set(Number(word & 0xffffffffn), Number(word >> 32n));
        }
      }
      for (const count of runs.values()) n += count;
    } else for (const _ of this.#map(name).entries()) n++;
    return n;
  }

  *#backendEntries(): Generator<[number, LbBackend]> {
    const map = this.#map('lb_backends');
    const codec = this.#abi.map('lb_backends').value;
    const generation = abi.fieldOffset(this.#abi.layout('lb_backend'), 'generation') / 4;
    const bytes = new Uint8Array(map.mmap());
    const words = new Uint32Array(bytes.buffer);
    for (let id = 1; id < map.info.maxEntries; id++) {
      if (words[(id * map.valueStride) / 4 + generation] === 0) continue;
      yield [id, codec.decode(bytes, id * map.valueStride)];
    }
  }
}

function backendView(
  id: number,
  b: LbBackend,
  ref: ServiceRef,
  localities: ReadonlyMap<number, MetaLocality>,
  newFlows: number,
): BackendView {
  const has = (bit: number) => (b.state & bit) !== 0;
  const locality = localities.get(b.locality_id);
  return {
    ...ref,
    id,
    generation: b.generation,
    ip: b.addr,
    port: b.port,
    protocol: PROTOCOLS[b.proto] ?? 'TCP',
    nodeName: locality?.node_name ?? '',
    zone: locality?.zone ?? '',
    ready: has(abi.BACKEND_F_READY),
    serving: has(abi.BACKEND_F_SERVING),
    terminating: has(abi.BACKEND_F_TERMINATING),
    local: has(abi.BACKEND_F_ON_NODE),
    scopes: [
      ...(has(abi.BACKEND_F_IN_INTERNAL) ? (['internal'] as const) : []),
      ...(has(abi.BACKEND_F_IN_CLUSTER) ? (['cluster'] as const) : []),
      ...(has(abi.BACKEND_F_IN_LOCAL) ? (['local'] as const) : []),
    ],
    newFlows,
  };
}

export function refOf(id: number, services: ReadonlyMap<number, MetaService>): ServiceRef {
  const meta = services.get(id);
  if (!meta) return { serviceId: id, namespace: '', name: '', portName: '' };
  return { serviceId: id, namespace: meta.namespace_, name: meta.name, portName: meta.port_name };
}

const TYPE_ORDER = ['ClusterIP', 'LoadBalancer', 'ExternalIP', 'NodePort'];

function compareFrontends(a: FrontendView, b: FrontendView): number {
  const text = (f: FrontendView) => [f.namespace, f.name].join('/');
  const first = text(a);
  const second = text(b);
  if (first !== second) return first < second ? -1 : 1;
  return (
    TYPE_ORDER.indexOf(a.type) - TYPE_ORDER.indexOf(b.type) ||
    a.family - b.family ||
    a.port - b.port ||
    (a.protocol < b.protocol ? -1 : a.protocol > b.protocol ? 1 : 0) ||
    (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : 0)
  );
}
