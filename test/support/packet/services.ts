import {
  ADDRESS_F_CLUSTER_IP,
  ADDRESS_F_EXTERNAL,
  BACKEND_F_ALIVE,
  BACKEND_F_IN_CLUSTER,
  BACKEND_F_IN_INTERNAL,
  BACKEND_F_IN_LOCAL,
  BACKEND_F_ON_NODE,
  BACKEND_F_READY,
  BACKEND_F_SERVING,
  FRONTEND_CLUSTER_IP,
  FRONTEND_EXTERNAL_IP,
  FRONTEND_F_AFFINITY,
  FRONTEND_F_EXTERNAL_DROP,
  FRONTEND_F_EXTERNAL_LOCAL,
  FRONTEND_F_EXTERNAL_MAGLEV,
  FRONTEND_F_INTERNAL_DROP,
  FRONTEND_F_INTERNAL_LOCAL,
  FRONTEND_F_INTERNAL_MAGLEV,
  FRONTEND_F_NODE_ALLOWED,
  FRONTEND_F_SOURCE_RANGES,
  FRONTEND_KIND_EXACT,
  FRONTEND_KIND_NODEPORT4,
  FRONTEND_KIND_NODEPORT6,
  FRONTEND_LOAD_BALANCER,
  FRONTEND_NODE_PORT,
  type LbFrontendKey,
} from '../../../src/abi/index.js';
import { parseEndpoint } from './bytes.js';
import { PROTOCOL } from './spec.js';
import type { PacketWorld } from './world.js';

export type FrontendType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalIP';

export interface ServiceSpec {
  /** `10.96.0.1:80`, `[fd00::1]:80`, or for a NodePort `*4:30080`, `*6:30080`. */
  at: string;
  /** (NodePort for `*`, else ClusterIP) */
  type?: FrontendType;
  /** (tcp) */
  proto?: 'tcp' | 'udp' | 'sctp';
  /** In the order of their slots; those at 10.244.1.* and fd00:10:244:1:* are on this node. */
  backends?: string[];
  /** (Cluster) */
  internalPolicy?: 'Cluster' | 'Local';
  /** (Cluster) */
  externalPolicy?: 'Cluster' | 'Local';
  /** Timeout in seconds. */
  affinity?: number;
  maglev?: boolean;
  /** loadBalancerSourceRanges as `10.0.0.0/8`. */
  ranges?: string[];
  /** A range contains this node. */
  nodeAllowed?: boolean;
}

const TYPES: Record<FrontendType, number> = {
  ClusterIP: FRONTEND_CLUSTER_IP,
  NodePort: FRONTEND_NODE_PORT,
  LoadBalancer: FRONTEND_LOAD_BALANCER,
  ExternalIP: FRONTEND_EXTERNAL_IP,
};

/** First generation of every backend id. */
const GENERATION = 7;

/** One service port of one family, as the maps hold it. */
export class TestService {
  readonly id: number;
  readonly spec: ServiceSpec;
  /** Ids of the backends, in the order of the spec. */
  readonly backends: number[] = [];
  readonly #world: PacketWorld;
  readonly #key: LbFrontendKey;

  constructor(world: PacketWorld, spec: ServiceSpec) {
    this.#world = world;
    this.spec = spec;
    this.id = world.nextServiceId++;
    this.#key = frontendKey(spec);
    for (const text of spec.backends ?? []) this.backends.push(this.#addBackend(text));
    this.#writeFrontend();
  }

  get #type(): FrontendType {
    return this.spec.type ?? (this.spec.at.startsWith('*') ? 'NodePort' : 'ClusterIP');
  }

  #addBackend(text: string): number {
    const { ip, port } = parseEndpoint(text);
    const id = this.#world.nextBackendId++;
    const local = isOnNode(text);
    this.#world.backends.set(id, {
      addr: ip,
      port,
      proto: PROTOCOL[this.spec.proto ?? 'tcp'],
      service_id: this.id,
      generation: GENERATION,
      locality_id: 0,
      state:
        BACKEND_F_ALIVE |
        BACKEND_F_READY |
        BACKEND_F_SERVING |
        (local ? BACKEND_F_ON_NODE | BACKEND_F_IN_LOCAL : 0) |
        (local || this.spec.internalPolicy !== 'Local' ? BACKEND_F_IN_INTERNAL : 0) |
        BACKEND_F_IN_CLUSTER,
    });
    return id;
  }

  #run(ids: number[]): bigint {
    const base = this.#world.nextSlot;
    for (const id of ids) this.#world.slots.set(this.#world.nextSlot++, id);
    return (BigInt(ids.length) << 32n) | BigInt(base);
  }

  #writeFrontend(): void {
    const { spec } = this;
    const world = this.#world;
    const local = this.backends.filter((_, i) => isOnNode((spec.backends ?? [])[i] as string));
    const clusterIp = this.#type === 'ClusterIP';
    const internalLocal = clusterIp && spec.internalPolicy === 'Local';
    const externalLocal = clusterIp ? internalLocal : spec.externalPolicy === 'Local';
    const internal = internalLocal ? local : this.backends;
    const external = externalLocal ? local : this.backends;
    const someElsewhere = this.backends.length > 0;
    if (spec.ranges) world.sourceRanges(this.id, spec.ranges);
    world.frontends.set(this.#key, {
      internal: this.#run(internal),
      external: this.#run(external),
      service_id: this.id,
      flags:
        (spec.affinity === undefined ? 0 : FRONTEND_F_AFFINITY) |
        (spec.maglev ? FRONTEND_F_INTERNAL_MAGLEV | FRONTEND_F_EXTERNAL_MAGLEV : 0) |
        (internal.length === 0 && someElsewhere ? FRONTEND_F_INTERNAL_DROP : 0) |
        (external.length === 0 && someElsewhere ? FRONTEND_F_EXTERNAL_DROP : 0) |
        (externalLocal && !clusterIp ? FRONTEND_F_EXTERNAL_LOCAL : 0) |
        (internalLocal ? FRONTEND_F_INTERNAL_LOCAL : 0) |
        (spec.ranges ? FRONTEND_F_SOURCE_RANGES : 0) |
        (spec.nodeAllowed ? FRONTEND_F_NODE_ALLOWED : 0),
      affinity_timeout_s: spec.affinity ?? 0,
      range_set_id: spec.ranges ? this.id : 0,
      internal_mask: clusterIp ? BACKEND_F_IN_INTERNAL : BACKEND_F_IN_CLUSTER,
      external_mask: clusterIp
        ? BACKEND_F_IN_INTERNAL
        : externalLocal
          ? BACKEND_F_IN_LOCAL
          : BACKEND_F_IN_CLUSTER,
      type: TYPES[this.#type],
    });
    if (this.#key.kind !== FRONTEND_KIND_EXACT) return;
    const known = world.addresses.get(this.#key.addr);
    world.addresses.set(this.#key.addr, {
      flags: (known?.flags ?? 0) | (clusterIp ? ADDRESS_F_CLUSTER_IP : ADDRESS_F_EXTERNAL),
      frontends: (known?.frontends ?? 0) + 1,
    });
  }

  /** Writes bits of a backend's state word: `set` and `clear` are BACKEND_F_*. */
  backendState(index: number, change: { set?: number; clear?: number }): void {
    const id = this.backends[index] as number;
    const b = this.#world.backends.get(id);
    b.state = (b.state | (change.set ?? 0)) & ~(change.clear ?? 0);
    this.#world.backends.set(id, b);
  }

  /** The id of a backend is given out again: flows that remember it must not use it. */
  recycleBackend(index: number, to: string, serviceId = this.id): void {
    const id = this.backends[index] as number;
    const b = this.#world.backends.get(id);
    const { ip, port } = parseEndpoint(to);
    this.#world.backends.set(id, {
      ...b,
      addr: ip,
      port,
      service_id: serviceId,
      generation: b.generation + 1,
    });
  }

  /** New lists for both scopes, as indices into the spec's backends; the flags stay. */
  choose(indices: number[]): void {
    const fe = this.#world.frontends.get(this.#key);
    if (!fe) throw new Error('choose backends: the frontend is gone (ENOENT).');
    const run = this.#run(indices.map((i) => this.backends[i] as number));
    this.#world.frontends.set(this.#key, { ...fe, internal: run, external: run });
  }

  /** Removes the frontend and, if it was the last one there, its address. Backends die. */
  remove(): void {
    const world = this.#world;
    world.frontends.delete(this.#key);
    const known = world.addresses.get(this.#key.addr);
    if (known && this.#key.kind === FRONTEND_KIND_EXACT) {
      if (known.frontends <= 1) world.addresses.delete(this.#key.addr);
      else world.addresses.set(this.#key.addr, { ...known, frontends: known.frontends - 1 });
    }
    this.backends.forEach((_, i) => {
      this.backendState(i, { clear: 0xffff });
    });
  }
}

const isOnNode = (text: string): boolean => /^(10\.244\.1\.|\[fd00:10:244:1:)/.test(text);

function frontendKey(spec: ServiceSpec): LbFrontendKey {
  const proto = PROTOCOL[spec.proto ?? 'tcp'];
  const any = /^\*([46]):(\d+)$/.exec(spec.at);
  if (any) {
    // All zero on the wire, which as text is the IPv6 unspecified address.
    const kind = any[1] === '4' ? FRONTEND_KIND_NODEPORT4 : FRONTEND_KIND_NODEPORT6;
    return { addr: '::', port: Number(any[2]), proto, kind };
  }
  const { ip, port } = parseEndpoint(spec.at);
  return { addr: ip, port, proto, kind: FRONTEND_KIND_EXACT };
}
