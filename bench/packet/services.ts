/** Services in the maps of one world. */
import {
  ADDRESS_F_CLUSTER_IP,
  addrFamily,
  BACKEND_F_ALIVE,
  BACKEND_F_IN_CLUSTER,
  BACKEND_F_IN_INTERNAL,
  BACKEND_F_IN_LOCAL,
  BACKEND_F_ON_NODE,
  BACKEND_F_READY,
  BACKEND_F_SERVING,
  FRONTEND_CLUSTER_IP,
  FRONTEND_F_AFFINITY,
  FRONTEND_F_EXTERNAL_DROP,
  FRONTEND_F_EXTERNAL_LOCAL,
  FRONTEND_F_EXTERNAL_MAGLEV,
  FRONTEND_F_INTERNAL_MAGLEV,
  FRONTEND_KIND_EXACT,
  FRONTEND_KIND_NODEPORT4,
  FRONTEND_KIND_NODEPORT6,
  FRONTEND_NODE_PORT,
  type LbFrontend,
  type LbFrontendKey,
} from '../../src/abi/index.js';
import { IP_PROTOCOL, type Protocol } from './frames.js';
import type { BenchWorld } from './world.js';

export interface BenchService {
  protocol: Protocol;
  /** The cluster IP; for a NodePort of a family '*4' or '*6'. */
  ip: string;
  port: number;
  backends: readonly string[];
  backendPort: number;
  /** Which of the backends are on this node (none). */
  onNode?: readonly string[];
  maglev?: boolean;
  affinity?: boolean;
  /** externalTrafficPolicy: Local with endpoints elsewhere only. */
  dropsOutside?: boolean;
}

/** Least prime above 100 times three backends: the table of such a Maglev service. */
const MAGLEV_SIZE = 307;
const GENERATION = 1;

export class ServiceWriter {
  readonly #world: BenchWorld;
  readonly #slots: Uint32Array;
  readonly #stride: number;
  #services = 0;
  #backends = 0;
  #nextSlot = 0;

  constructor(world: BenchWorld) {
    this.#world = world;
    const slots = world.object.map('lb_slots');
    this.#slots = new Uint32Array(slots.mmap());
    this.#stride = slots.valueStride;
  }

  /** Writes all of them: backends and slots first, frontends last. */
  add(services: readonly BenchService[]): void {
    const frontends = services.map((s) => [keyOf(s), this.#frontend(s)] as const);
    const addresses = services
      .filter((s) => !s.ip.startsWith('*'))
      .map((s) => [s.ip, { flags: ADDRESS_F_CLUSTER_IP, frontends: 1 }] as const);
    this.#world.setAll('lb_addresses', addresses);
    this.#world.setAll('lb_frontends', frontends);
  }

  /** New flows of all services together. */
  newFlows(): number {
    const map = this.#world.object.map('stats_services');
    const words = new BigUint64Array(map.mmap());
    const stride = map.valueStride / 8;
    let total = 0n;
    // new_flows is the first word; 8 shards of every service lie together.
    for (let at = 0; at < (this.#services + 1) * 8 * stride; at += stride) total += words[at] as bigint;
    return Number(total);
  }

  #frontend(s: BenchService): LbFrontend {
    const id = ++this.#services;
    const backends = s.backends.map((addr) => this.#backend(s, addr, id));
    const isNodePort = s.ip.startsWith('*');
    const run = this.#run(s.maglev ? spreadOver(backends, MAGLEV_SIZE) : backends);
    const mask = isNodePort ? BACKEND_F_IN_CLUSTER : BACKEND_F_IN_INTERNAL;
    return {
      internal: run,
      external: s.dropsOutside ? 0n : run,
      service_id: id,
      flags:
        (s.affinity ? FRONTEND_F_AFFINITY : 0) |
        (s.maglev ? FRONTEND_F_INTERNAL_MAGLEV | FRONTEND_F_EXTERNAL_MAGLEV : 0) |
        (s.dropsOutside ? FRONTEND_F_EXTERNAL_LOCAL | FRONTEND_F_EXTERNAL_DROP : 0),
      affinity_timeout_s: s.affinity ? 10_800 : 0,
      range_set_id: 0,
      internal_mask: mask,
      external_mask: mask,
      type: isNodePort ? FRONTEND_NODE_PORT : FRONTEND_CLUSTER_IP,
    };
  }

  #backend(s: BenchService, addr: string, service_id: number): number {
    const id = ++this.#backends;
    const local = s.onNode?.includes(addr) ? BACKEND_F_ON_NODE | BACKEND_F_IN_LOCAL : 0;
    this.#world.set('lb_backends', id, {
      addr,
      port: s.backendPort,
      proto: IP_PROTOCOL[s.protocol],
      service_id,
      generation: GENERATION,
      locality_id: 0,
      state:
        BACKEND_F_ALIVE |
        BACKEND_F_READY |
        BACKEND_F_SERVING |
        BACKEND_F_IN_INTERNAL |
        BACKEND_F_IN_CLUSTER |
        local,
    });
    return id;
  }

  #run(ids: readonly number[]): bigint {
    const base = this.#nextSlot;
    // A slot's 4 bytes lie 8 apart.
    ids.forEach((id, i) => {
      this.#slots[((base + i) * this.#stride) / 4] = id;
    });
    this.#nextSlot += ids.length;
    return (BigInt(ids.length) << 32n) | BigInt(base);
  }
}

/** What a lookup costs does not depend on how a Maglev table was filled. */
function spreadOver(ids: readonly number[], size: number): number[] {
  return Array.from({ length: size }, (_, i) => ids[i % ids.length] as number);
}

function keyOf(s: BenchService): LbFrontendKey {
  const proto = IP_PROTOCOL[s.protocol];
  if (s.ip === '*4') return { addr: '::', port: s.port, proto, kind: FRONTEND_KIND_NODEPORT4 };
  if (s.ip === '*6') return { addr: '::', port: s.port, proto, kind: FRONTEND_KIND_NODEPORT6 };
  return { addr: s.ip, port: s.port, proto, kind: FRONTEND_KIND_EXACT };
}

/** Of a service with a NodePort of the family of an address. */
export function nodePortOf(address: string): '*4' | '*6' {
  return addrFamily(address) === 4 ? '*4' : '*6';
}
