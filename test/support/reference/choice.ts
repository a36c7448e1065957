// Which frontend a packet means, who may use it, and which backend a new flow gets (SEMANTICS 3, 5, 7).
import { hashEnds, swap32 } from './hash.js';
import { contains } from './routes.js';
import { listOf, scopeOf } from './scopes.js';
import type { Backend, Ends, Front, Service, Settings } from './types.js';

export interface Address {
  node: boolean;
  nodePorts: boolean;
  loopback: boolean;
  clusterIp: boolean;
  /** Ping is answered here. */
  echo: boolean;
}

export interface Target {
  service: Service;
  front: Front;
}

export type Choice = { backend: Backend; remembered: boolean } | 'refuse' | 'drop' | 'stale';

interface Affinity {
  backend: Backend;
  generation: number;
  used: number;
}

export const NODE_CLIENT = 'node';

export class Chooser {
  readonly services: Service[] = [];
  readonly nodeAddresses: ReadonlySet<string>;
  readonly loopbacks: ReadonlySet<string>;
  readonly #settings: Settings;
  readonly #affinity = new Map<string, Affinity>();
  now = 0;

  constructor(settings: Settings, nodeAddresses: string[], loopbacks: string[]) {
    this.#settings = settings;
    this.nodeAddresses = new Set(nodeAddresses);
    this.loopbacks = new Set(loopbacks);
  }

  /** An address of this node, loopback included. */
  isNode(ip: string): boolean {
    return this.nodeAddresses.has(ip) || this.loopbacks.has(ip);
  }

  address(ip: string): Address | undefined {
    const node = this.isNode(ip);
    const fronts = this.services.filter((s) => s.exists && s.fronts.some((f) => f.ip === ip));
    if (!node && fronts.length === 0) return;
    const clusterIp = fronts.some((s) => s.fronts.some((f) => f.ip === ip && f.type === 'ClusterIP'));
    return {
      node,
      nodePorts: node,
      loopback: this.loopbacks.has(ip),
      clusterIp,
      echo: !node && fronts.some((s) => listOf(s, false).length > 0),
    };
  }

  frontend(ip: string, port: number, proto: number): Target | undefined {
    const find = (address: string, family?: 4 | 6) => {
      for (const service of this.services) {
        if (!service.exists || service.proto !== proto) continue;
        if (family && service.family !== family) continue;
        const front = service.fronts.find((f) => f.ip === address && f.port === port);
        if (front) return { service, front };
      }
      return undefined;
    };
    const exact = find(ip);
    if (exact || !this.address(ip)?.nodePorts) return exact;
    return find('*', ip.includes(':') ? 6 : 4);
  }

  isAllowed({ front }: Target, client: string, isNode: boolean): boolean {
    if (!front.ranges) return true;
    return isNode ? front.nodeAllowed : front.ranges.some((r) => contains(r, client));
  }

  /** The slots of a scope, or what to do when there are none. */
  slots({ service, front }: Target, internal: boolean): Backend[] | 'refuse' | 'drop' {
    const scope = scopeOf(service, front, internal);
    if (scope.slots.length > 0) return scope.slots;
    return scope.whenEmpty === 'drop' ? 'drop' : 'refuse';
  }

  /** client: its address, or NODE_CLIENT. */
  remembered(target: Target, internal: boolean, client: string): Backend | undefined {
    const { service, front } = target;
    if (service.affinity === undefined) return;
    const known = this.#affinity.get(`${client} ${service.id}`);
    if (!known || this.now - known.used >= service.affinity) return;
    const local = front.type === 'ClusterIP' ? service.internalLocal : !internal && service.externalLocal;
    if (known.generation !== known.backend.generation) return;
    if (!listOf(service, local).includes(known.backend)) return;
    known.used = this.now;
    return known.backend;
  }

  remember({ service }: Target, client: string, backend: Backend): void {
    if (service.affinity === undefined) return;
    this.#affinity.set(`${client} ${service.id}`, {
      backend,
      generation: backend.generation,
      used: this.now,
    });
  }

  /** For a packet: by its hash. `seq`: the SYN's sequence number. */
  choose(
    target: Target,
    internal: boolean,
    client: string,
    e: Ends,
    proto: number,
    seq: number,
    attempt = 0,
  ): Choice {
    const slots = this.slots(target, internal);
    if (typeof slots === 'string') return slots;
    const known = attempt === 0 ? this.remembered(target, internal, client) : undefined;
    if (known) return { backend: known, remembered: true };
    const seed = target.service.maglev ? 0 : (swap32(seq) ^ this.#settings.hashSeed) >>> 0;
    const backend = slots[((hashEnds(e, proto, seed) + attempt) >>> 0) % slots.length] as Backend;
    return backend.condition === 'gone' ? 'stale' : { backend, remembered: false };
  }
}
