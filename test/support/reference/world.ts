// A world of services as fast-check draws it, and how it becomes map entries and reference state.
import {
  ADDRESS_F_CLUSTER_IP,
  ADDRESS_F_ECHO,
  ADDRESS_F_EXTERNAL,
  ADDRESS_F_LOOPBACK,
  ADDRESS_F_NODE,
  ADDRESS_F_NODE_PORTS,
  BACKEND_F_ALIVE,
  BACKEND_F_IN_CLUSTER,
  BACKEND_F_IN_INTERNAL,
  BACKEND_F_IN_LOCAL,
  BACKEND_F_ON_NODE,
  BACKEND_F_READY,
  BACKEND_F_SERVING,
  BACKEND_F_TERMINATING,
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
} from '../../../src/abi/index.js';
import { BOOKS, type Book } from '../packet/addresses.js';
import { DEVICES, type DeviceName } from '../packet/netns.js';
import type { PacketWorld } from '../packet/world.js';
import { Chooser } from './choice.js';
import { CLUSTER_CIDRS, type Environment, SERVICE_CIDRS } from './create.js';
import { FlowBook } from './flows.js';
import { clusterList, listOf, localList, scopeOf } from './scopes.js';
import type { Backend, Condition, Front, FrontType, Service, Settings } from './types.js';

export type Place = Extract<
  keyof Book,
  | 'pod1'
  | 'pod2'
  | 'pod2b'
  | 'remote'
  | 'remote2'
  | 'overlay'
  | 'narrow'
  | 'unresolved'
  | 'nowhere'
  | 'client'
  | 'client2'
  | 'node'
  | 'node2nd'
  | 'nodeOverlay'
  | 'loopback'
  | 'vip'
  | 'vip2'
  | 'lb'
  | 'hairpin'
>;

export interface FrontPlan {
  type: FrontType;
  port: number;
  /** Where on: of a cluster or load-balancer IP, the first or second; an external IP may be a node's. */
  second: boolean;
  ranges: 'open' | 'closed' | 'client' | 'pods';
  nodeAllowed: boolean;
}

export interface ServicePlan {
  family: 4 | 6;
  proto: number;
  fronts: FrontPlan[];
  backends: { place: Place; port: number; condition: Condition }[];
  internalLocal: boolean;
  externalLocal: boolean;
  affinity: boolean;
  maglev: boolean;
}

export interface WorldPlan {
  services: ServicePlan[];
  xdpDevices: DeviceName[];
}

export const bookOf = (family: 4 | 6): Book => BOOKS[family === 4 ? 0 : 1] as Book;

const GENERATION = 7;
const AFFINITY_SECONDS = 30;
const ON_NODE: Place[] = ['pod1', 'pod2', 'pod2b', 'node'];

function frontIp(f: FrontPlan, book: Book): string {
  if (f.type === 'NodePort') return '*';
  if (f.type === 'ClusterIP') return f.second ? book.vip2 : book.vip;
  if (f.type === 'LoadBalancer') return book.lb;
  return f.second ? book.node2nd : book.family === 4 ? '192.0.2.200' : '2001:db8:2::200';
}

/** The second of two frontends with one key is left out: the model never makes them. */
export function makeServices(plan: WorldPlan): Service[] {
  const taken = new Set<string>();
  let backendId = 1;
  return plan.services.map((s, i): Service => {
    const book = bookOf(s.family);
    const fronts: Front[] = [];
    for (const f of s.fronts) {
      const ip = frontIp(f, book);
      const key = `${s.family} ${s.proto} ${ip} ${f.port}`;
      if (taken.has(key)) continue;
      taken.add(key);
      const ranges = { open: undefined, closed: [], client: [book.clientRange], pods: [book.podRange] }[
        f.ranges
      ];
      const guarded = f.type === 'LoadBalancer' ? ranges : undefined;
      fronts.push({ type: f.type, ip, port: f.port, ranges: guarded, nodeAllowed: f.nodeAllowed });
    }
    const unique = new Map(s.backends.map((b) => [`${b.place} ${b.port}`, b]));
    const backends = [...unique.values()].map(
      (b): Backend => ({
        id: backendId++,
        generation: GENERATION,
        ip: book[b.place] as string,
        port: b.port,
        condition: b.condition,
        local: ON_NODE.includes(b.place),
      }),
    );
    return {
      id: i + 1,
      family: s.family,
      proto: s.proto,
      fronts,
      backends,
      internalLocal: s.internalLocal,
      externalLocal: s.externalLocal,
      affinity: s.affinity ? AFFINITY_SECONDS : undefined,
      maglev: s.maglev,
      exists: true,
    };
  });
}

export function makeEnvironment(plan: WorldPlan, settings: Settings): Environment {
  const nodes = Object.values(DEVICES).flatMap((d) => ('ip4' in d ? [d.ip4, d.ip6] : []));
  const chooser = new Chooser(settings, nodes as string[], ['127.0.0.1', '::1']);
  chooser.services.push(...makeServices(plan));
  return {
    settings,
    chooser,
    flows: new FlowBook(settings),
    takeover: false,
    fibGeneration: 1,
    xdpDevices: new Set(plan.xdpDevices),
  };
}

export const backendsOf = (env: Environment): [Service, Backend][] =>
  env.chooser.services.flatMap((s) => s.backends.map((b): [Service, Backend] => [s, b]));

const TYPES: Record<FrontType, number> = {
  ClusterIP: FRONTEND_CLUSTER_IP,
  NodePort: FRONTEND_NODE_PORT,
  LoadBalancer: FRONTEND_LOAD_BALANCER,
  ExternalIP: FRONTEND_EXTERNAL_IP,
};

/** Writes the whole world, the node included, into cleared maps. */
export function install(world: PacketWorld, env: Environment, plan: WorldPlan): void {
  world.reset();
  for (const name of plan.xdpDevices) world.xdpDevice(name);
  world.sourceRanges(0xffffffff, CLUSTER_CIDRS);
  world.sourceRanges(0xfffffffe, SERVICE_CIDRS);
  for (const s of env.chooser.services) {
    for (const [i, f] of s.fronts.entries()) if (f.ranges) world.sourceRanges(rangeSet(s, i), f.ranges);
    writeService(world, s);
  }
  writeAddresses(world, env);
}

const rangeSet = (s: Service, front: number): number => s.id * 10 + front;

/** After any change of a service's backends, and when it comes or goes. */
export function writeService(world: PacketWorld, s: Service): void {
  for (const b of s.backends) writeBackend(world, s, b);
  s.fronts.forEach((f, i) => {
    const kind =
      f.ip !== '*' ? FRONTEND_KIND_EXACT : s.family === 4 ? FRONTEND_KIND_NODEPORT4 : FRONTEND_KIND_NODEPORT6;
    const key = { addr: f.ip === '*' ? '::' : f.ip, port: f.port, proto: s.proto, kind };
    if (s.exists) world.frontends.set(key, frontendOf(world, s, f, rangeSet(s, i)));
    else world.frontends.delete(key);
  });
}

function run(world: PacketWorld, backends: Backend[]): bigint {
  const base = world.nextSlot;
  for (const b of backends) world.slots.set(world.nextSlot++, b.id);
  return (BigInt(backends.length) << 32n) | BigInt(base);
}

function frontendOf(world: PacketWorld, s: Service, f: Front, set: number) {
  const internal = scopeOf(s, f, true);
  const external = scopeOf(s, f, false);
  const isCluster = f.type === 'ClusterIP';
  const flags: [boolean, number][] = [
    [s.affinity !== undefined, FRONTEND_F_AFFINITY],
    [s.maglev, FRONTEND_F_INTERNAL_MAGLEV | FRONTEND_F_EXTERNAL_MAGLEV],
    [internal.whenEmpty === 'drop', FRONTEND_F_INTERNAL_DROP],
    [external.whenEmpty === 'drop', FRONTEND_F_EXTERNAL_DROP],
    [!isCluster && s.externalLocal, FRONTEND_F_EXTERNAL_LOCAL],
    [isCluster && s.internalLocal, FRONTEND_F_INTERNAL_LOCAL],
    [f.ranges !== undefined, FRONTEND_F_SOURCE_RANGES],
    [f.nodeAllowed, FRONTEND_F_NODE_ALLOWED],
  ];
  return {
    internal: run(world, internal.slots),
    external: run(world, external.slots),
    service_id: s.id,
    flags: flags.reduce((all, [on, bit]) => (on ? all | bit : all), 0),
    affinity_timeout_s: s.affinity ?? 0,
    range_set_id: f.ranges ? set : 0,
    internal_mask: isCluster ? BACKEND_F_IN_INTERNAL : BACKEND_F_IN_CLUSTER,
    external_mask: isCluster
      ? BACKEND_F_IN_INTERNAL
      : s.externalLocal
        ? BACKEND_F_IN_LOCAL
        : BACKEND_F_IN_CLUSTER,
    type: TYPES[f.type],
  };
}

function writeBackend(world: PacketWorld, s: Service, b: Backend): void {
  const alive = b.condition !== 'gone';
  const bits: [boolean, number][] = [
    [alive, BACKEND_F_ALIVE],
    [b.condition === 'ready', BACKEND_F_READY],
    [b.condition === 'ready' || b.condition === 'terminating', BACKEND_F_SERVING],
    [b.condition === 'terminating', BACKEND_F_TERMINATING],
    [alive && b.local, BACKEND_F_ON_NODE],
    [listOf(s, s.internalLocal).includes(b), BACKEND_F_IN_INTERNAL],
    [clusterList(s.backends).includes(b), BACKEND_F_IN_CLUSTER],
    [localList(s.backends).includes(b), BACKEND_F_IN_LOCAL],
  ];
  world.backends.set(b.id, {
    addr: b.ip,
    port: b.port,
    proto: s.proto,
    service_id: s.id,
    generation: b.generation,
    locality_id: 0,
    state: bits.reduce((all, [on, bit]) => (on ? all | bit : all), 0),
  });
}

export function writeAddresses(world: PacketWorld, env: Environment): void {
  const ips = new Set(env.chooser.services.flatMap((s) => s.fronts.map((f) => f.ip)));
  for (const ip of ips) {
    if (ip === '*') continue;
    const a = env.chooser.address(ip);
    if (!a) {
      world.addresses.delete(ip);
      continue;
    }
    const fronts = env.chooser.services.flatMap((s) => (s.exists ? s.fronts.filter((f) => f.ip === ip) : []));
    world.addresses.set(ip, {
      flags:
        (a.node ? ADDRESS_F_NODE | ADDRESS_F_NODE_PORTS : 0) |
        (a.loopback ? ADDRESS_F_LOOPBACK : 0) |
        (a.clusterIp ? ADDRESS_F_CLUSTER_IP : 0) |
        (fronts.some((f) => f.type !== 'ClusterIP') ? ADDRESS_F_EXTERNAL : 0) |
        (a.echo ? ADDRESS_F_ECHO : 0),
      frontends: fronts.length,
    });
  }
}
