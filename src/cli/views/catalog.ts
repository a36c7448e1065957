import {
  BACKEND_F_ALIVE,
  BACKEND_F_ON_NODE,
  BACKEND_F_READY,
  BACKEND_F_SERVING,
  BACKEND_F_TERMINATING,
  type LbBackend,
  type MetaService,
} from '../../abi/index.js';
import { protocolName } from '../output/text.js';
import type { MapsReader } from '../reader.js';
import { addressKey, by } from './order.js';

/** Kubernetes' names for a service port. */
export interface ServiceName {
  namespace: string;
  name: string;
  portName: string;
}

export interface BackendState {
  ip: string;
  port: number;
  nodeName: string | null;
  zone: string | null;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  /** On this node. */
  local: boolean;
}

export interface CatalogBackend extends BackendState {
  id: number;
  generation: number;
  serviceId: number;
  protocol: string;
}

/** Names behind the ids: service ports, backends and where they run. Read once per command. */
export class Catalog {
  readonly services: ReadonlyMap<number, MetaService>;
  /** Backends in use, by id. */
  readonly backends: ReadonlyMap<number, CatalogBackend>;
  readonly #reader: MapsReader;
  readonly #runs = new Map<bigint, ReadonlySet<number>>();
  readonly #byService = new Map<number, CatalogBackend[]>();

  constructor(reader: MapsReader) {
    this.#reader = reader;
    this.services = new Map(reader.entries('meta_services'));
    const localities = new Map(reader.entries('meta_localities'));
    const backends = new Map<number, CatalogBackend>();
    for (const [id, value] of reader.entries('lb_backends')) {
      if (id === 0 || (value.state & BACKEND_F_ALIVE) === 0) continue;
      const backend = describeBackend(id, value, localities.get(value.locality_id));
      backends.set(id, backend);
      const siblings = this.#byService.get(backend.serviceId);
      if (siblings) siblings.push(backend);
      else this.#byService.set(backend.serviceId, [backend]);
    }
    const order = by<CatalogBackend>(
      (b) => addressKey(b.ip),
      (b) => b.port,
      (b) => b.id,
    );
    for (const siblings of this.#byService.values()) siblings.sort(order);
    this.backends = backends;
  }

  /** By address, then port. */
  backendsOf(serviceId: number): readonly CatalogBackend[] {
    return this.#byService.get(serviceId) ?? [];
  }

  /** Undefined when the id has since been given to another backend. */
  backend(id: number, generation: number): CatalogBackend | undefined {
    const found = this.backends.get(id);
    return found?.generation === generation ? found : undefined;
  }

  /** A service port that has no name in the maps (any more) is called by its id. */
  nameOf(serviceId: number): ServiceName {
    const meta = this.services.get(serviceId);
    if (!meta) return { namespace: '', name: `#${serviceId}`, portName: '' };
    return { namespace: meta.namespace_, name: meta.name, portName: meta.port_name };
  }

  /** Backend ids that a scope of a frontend chooses from: base in the low half of the word, count in the high. */
  members(run: bigint): ReadonlySet<number> {
    let ids = this.#runs.get(run);
    if (!ids) {
      ids = new Set(this.#reader.slots(Number(run & 0xffff_ffffn), Number(run >> 32n)));
      this.#runs.set(run, ids);
    }
    return ids;
  }
}

function describeBackend(
  id: number,
  value: LbBackend,
  locality: { node_name: string; zone: string } | undefined,
): CatalogBackend {
  const has = (bit: number) => (value.state & bit) !== 0;
  return {
    id,
    generation: value.generation,
    serviceId: value.service_id,
    protocol: protocolName(value.proto),
    ip: value.addr,
    port: value.port,
    nodeName: locality?.node_name || null,
    zone: locality?.zone || null,
    ready: has(BACKEND_F_READY),
    serving: has(BACKEND_F_SERVING),
    terminating: has(BACKEND_F_TERMINATING),
    local: has(BACKEND_F_ON_NODE),
  };
}
