// From a first packet to a connection (ARCHITECTURE section 1, SEMANTICS sections 6 and 7).
import type { DeviceName } from '../packet/netns.js';
import { DEVICES } from '../packet/netns.js';
import { PROTOCOL } from '../packet/spec.js';
import { type Chooser, NODE_CLIENT, type Target } from './choice.js';
import type { Conn, FlowBook, NextHop } from './flows.js';
import { hashEnds } from './hash.js';
import { contains, type Route, routeTo, snatSource } from './routes.js';
import { type Backend, type Ends, endsKey, type Settings } from './types.js';
import type { View } from './view.js';

export type Origin = 'pod' | 'wire' | 'node';

export type Begun =
  | { what: 'flow'; conn: Conn }
  | { what: 'refuse'; serviceId: number }
  | { what: 'drop'; reason: string; serviceId: number }
  /** Not ours, or not to be finished here. */
  | { what: 'pass' };

export const CLUSTER_CIDRS = ['10.244.0.0/16', 'fd00:10:244::/48'];
export const SERVICE_CIDRS = ['10.96.0.0/16', 'fd00:10:96::/112'];

const TRIES = 32;

export interface Environment {
  settings: Settings;
  chooser: Chooser;
  flows: FlowBook;
  takeover: boolean;
  fibGeneration: number;
  /** Devices proven to take frames from XDP. */
  xdpDevices: Set<DeviceName>;
}

export const isOpening = (v: View): boolean => v.flags.includes('S') && !v.flags.includes('A');

export function clientSide(origin: Origin, on: DeviceName): string {
  return origin === 'pod' ? on : origin;
}

export function hopOf(env: Environment, route: Route): NextHop | undefined {
  if (route.kind !== 'via' || !route.macs || route.mtu === undefined) return;
  return { at: env.flows.now, generation: env.fibGeneration, mtu: route.mtu, macs: route.macs };
}

/** XDP's own condition: the way out takes frames from the device that it came in by. */
export const xdpReaches = (env: Environment, on: DeviceName, out: DeviceName): boolean =>
  on === out || env.xdpDevices.has(out);

/** Sources that nobody on a wire may have; the stack drops them. */
function isMartian(ip: string, chooser: Environment['chooser']): boolean {
  if (chooser.isNode(ip)) return true;
  if (ip.includes(':')) return ip === '::' || ip === '::1' || /^ff[0-9a-f]{2}:/.test(ip);
  const first = Number(ip.split('.')[0]);
  return first === 0 || first === 127 || first >= 224;
}

export function begin(env: Environment, v: View, origin: Origin, on: DeviceName, xdp = false): Begun {
  const { chooser, settings, flows } = env;
  const { src, dst } = v.ends;
  const target = chooser.frontend(dst, v.ends.dport, v.proto);
  if (!target) {
    const address = chooser.address(dst);
    return address?.clusterIp && !address.node ? { what: 'refuse', serviceId: 0 } : { what: 'pass' };
  }
  if (origin === 'wire' && isMartian(src, chooser)) return { what: 'pass' };
  const { service } = target;
  const serviceId = service.id;
  const drop = (reason: string): Begun => (xdp ? { what: 'pass' } : { what: 'drop', reason, serviceId });
  const midstream = v.proto === PROTOCOL.tcp && !isOpening(v);
  const internal =
    origin !== 'wire' || (settings.clusterCidrs && CLUSTER_CIDRS.some((c) => contains(c, src)));
  if (midstream && (xdp || env.takeover)) return { what: 'pass' };
  if (!chooser.isAllowed(target, src, origin === 'node')) return drop('SOURCE_RANGE');
  const client = origin === 'node' ? NODE_CLIENT : src;
  const pick = (attempt: number) => chooser.choose(target, internal, client, v.ends, v.proto, v.seq, attempt);
  let attempt = 0;
  let choice = pick(0);
  // A local socket's packet cannot be sent to this node's own address.
  const isOwn = () => typeof choice === 'object' && origin === 'node' && chooser.isNode(choice.backend.ip);
  while (isOwn() && attempt < 4) choice = pick(++attempt);
  if (choice === 'refuse') return { what: 'refuse', serviceId };
  if (choice === 'drop') return drop('NO_LOCAL_BACKEND');
  if (choice === 'stale') return drop('STALE');
  if (isOwn()) return drop('NO_ROUTE');
  if (midstream && (!service.maglev || v.flags.includes('R'))) return { what: 'refuse', serviceId };
  const { backend } = choice;
  const conn: Conn = {
    proto: v.proto,
    role: 'front',
    arrives: { ...v.ends },
    leaves: { src, sport: v.ends.sport, dst: backend.ip, dport: backend.port },
    serviceId,
    backend,
    generation: backend.generation,
    external: !internal,
    way: 'local',
    viaXdp: xdp,
    from: clientSide(origin, on),
    midstream,
    used: false,
    established: false,
    seenReply: false,
    promotes: undefined,
    acked: { original: 0, reply: 0 },
    fin: { original: false, reply: false },
    rst: false,
    created: flows.now,
    seen: flows.now,
    hops: {},
  };
  const way = chooseWay(env, target, conn, v, origin, internal, backend);
  if (way.drop) return drop(way.drop);
  if (midstream && (way.middle || conn.way === 'past')) return { what: 'refuse', serviceId };
  if (xdp) {
    const hop = conn.hops.original;
    const fits = hop && hop.mtu >= v.end - 14 && v.ttl > 1;
    if (conn.way !== 'past' || !fits || !way.out || !xdpReaches(env, on, way.out)) return { what: 'pass' };
  }
  if (!reserve(env, conn)) return drop(conn.way === 'past' ? 'SNAT_PORTS' : 'TUPLE_TAKEN');
  if (way.middle) {
    const second: Conn = {
      ...conn,
      role: 'middle',
      way: 'middle',
      from: '',
      midstream: false,
      viaXdp: false,
      arrives: { ...conn.leaves },
      leaves: { ...conn.leaves, src: way.middle },
      acked: { original: 0, reply: 0 },
      fin: { original: false, reply: false },
      hops: {},
    };
    if (!reserve(env, second)) {
      flows.remove(conn);
      return drop('SNAT_PORTS');
    }
  }
  if (!choice.remembered && attempt === 0) chooser.remember(target, client, backend);
  return { what: 'flow', conn };
}

interface Way {
  drop?: string;
  /** SNAT source of the second half of a way through the stack. */
  middle?: string;
  out?: DeviceName;
}

function chooseWay(
  env: Environment,
  { service, front }: Target,
  conn: Conn,
  v: View,
  origin: Origin,
  internal: boolean,
  backend: Backend,
): Way {
  const { settings } = env;
  if (origin === 'node') {
    conn.way = 'node';
    return {};
  }
  if (origin === 'pod' && backend.ip === v.ends.src) {
    conn.way = 'hairpin';
    conn.leaves.src = settings.hairpin[v.family];
    return {};
  }
  const isExternal = front.type !== 'ClusterIP';
  // Local policy keeps the source, and so does a pod's traffic where nobody asked for more.
  const masqueraded = isExternal
    ? settings.masqueradeExternal && !service.externalLocal
    : settings.masqueradeAll;
  if (origin === 'pod' && !masqueraded) return {};
  if (isExternal && service.externalLocal && !internal) return {};
  const route = routeTo(backend.ip);
  if (route.kind === 'local') return {};
  if (route.kind === 'none') return { drop: 'NO_ROUTE' };
  const source = snatSource(route.device, v.family);
  const local = DEVICES[route.device].class === 'DEVICE_POD';
  if (origin === 'pod' || settings.throughStack || local) {
    return !local || masqueraded ? { middle: source } : {};
  }
  conn.way = 'past';
  conn.leaves.src = source;
  const hop = hopOf(env, route);
  if (hop) conn.hops.original = hop;
  return { out: route.device };
}

/** The client's own port where the source is kept, else one of the SNAT range. */
function reserve(env: Environment, conn: Conn): boolean {
  const [min, max] = env.settings.snatPorts;
  const size = max - min + 1;
  const hash = (salt: number) => hashEnds(conn.arrives, conn.proto, env.settings.hashSeed ^ salt);
  const start = hash(0x5eed);
  const step = size > TRIES ? (hash(0x57e9) % size) | 1 : 1;
  const keepsPort = conn.way !== 'past' && conn.way !== 'middle';
  const own = conn.arrives.sport;
  for (let i = 0; i < TRIES; i++) {
    const sport = i === 0 && keepsPort ? own : min + (((start + Math.imul(i, step)) >>> 0) % size);
    conn.leaves = { ...conn.leaves, sport };
    if (env.flows.tryAdd(conn, i >= TRIES / 2)) return true;
  }
  return false;
}

export const sameEnds = (proto: number, a: Ends, b: Ends): boolean => endsKey(proto, a) === endsKey(proto, b);
