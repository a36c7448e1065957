/** Packets that stand for Service traffic through this node. */
import ipaddr from 'ipaddr.js';
import type { LinkInfo, RouteInfo } from '../native/index.js';
import type { Sample } from './forward.js';
import type { Family } from './rules.js';

const MAIN_TABLE = 254;
const UNICAST = 1;
const KUBE_MARK = 0x4000;
/** Documentation addresses: nobody's own rule is about them. */
const OUTSIDE = { 4: '203.0.113.7', 6: '2001:db8:ffff::7' } as const;

/** What routes say about an address. */
interface Way {
  device: string;
  /** Its device is not the one that leads outside, and there is no gateway between. */
  isLocal: boolean;
}

export class Routes {
  readonly #routes: RouteInfo[];
  readonly #names: Map<number, string>;

  constructor(routes: readonly RouteInfo[], links: readonly LinkInfo[]) {
    this.#routes = routes.filter((route) => route.table === MAIN_TABLE && route.type === UNICAST);
    this.#names = new Map(links.map((link) => [link.ifindex, link.name]));
  }

  uplink(family: Family): string | undefined {
    const route = this.#routes.find((r) => r.family === family && r.dst === undefined);
    return this.#deviceOf(route);
  }

  /** By the longest prefix. */
  way(address: string): Way | undefined {
    const parsed = ipaddr.parse(address);
    const family = parsed.kind() === 'ipv4' ? 4 : 6;
    let best: RouteInfo | undefined;
    for (const route of this.#routes) {
      if (route.family !== family || (best && best.prefixLength >= route.prefixLength)) continue;
      if (route.dst === undefined || parsed.match(ipaddr.parse(route.dst), route.prefixLength)) best = route;
    }
    const device = this.#deviceOf(best);
    if (!best || device === undefined) return undefined;
    const hasGateway = best.gateway !== undefined || best.nextHops !== undefined;
    return { device, isLocal: !hasGateway && device !== this.uplink(family) };
  }

  #deviceOf(route: RouteInfo | undefined): string | undefined {
    const oif = route?.oif ?? route?.nextHops?.[0]?.oif;
    return oif === undefined ? undefined : this.#names.get(oif);
  }
}

/**
 * @param endpoints addresses of either family.
 * @returns nothing where no endpoint is on this node: then there is nothing to forward to.
 */
export function forwardSamples(family: Family, endpoints: readonly string[], routes: Routes): Sample[] {
  let local: { ip: string; device: string } | undefined;
  let remote: { ip: string; device: string } | undefined;
  const uplink = routes.uplink(family) ?? 'eth0';
  for (const ip of endpoints) {
    if (!ipaddr.isValid(ip) || (ipaddr.parse(ip).kind() === 'ipv4' ? 4 : 6) !== family) continue;
    const way = routes.way(ip);
    if (!way) continue;
    if (way.isLocal) local ??= { ip, device: way.device };
    else if (way.device !== '') remote ??= { ip, device: way.device };
    if (local && remote) break;
  }
  const samples: Sample[] = [];
  const add = (
    what: string,
    from: { ip: string; device: string },
    to: { ip: string; device: string },
    state: 'NEW' | 'ESTABLISHED',
    before: Sample['before'] = {},
  ) => {
    const packet = {
      in: from.device,
      out: to.device,
      src: from.ip,
      dst: to.ip,
      protocol: 'tcp',
      dport: 8080,
    };
    samples.push({ chain: 'FORWARD', what, packet: { ...packet, states: [state], mark: 0 }, before });
  };
  const outside = { ip: OUTSIDE[family], device: uplink };
  if (local) {
    // kube-proxy marks what it masquerades, and KUBE-FORWARD accepts the mark.
    const marked = { mark: KUBE_MARK, states: ['NEW', 'DNAT'] };
    add('a connection from outside to a pod of this node', outside, local, 'NEW', marked);
    add('replies of a pod of this node to a client outside', local, outside, 'ESTABLISHED');
    add('further packets from outside to a pod of this node', outside, local, 'ESTABLISHED');
  }
  if (local && remote) {
    const plain = { states: ['NEW', 'DNAT'] };
    add('a connection of a pod of this node to a pod of another', local, remote, 'NEW', plain);
    add('replies of a pod of another node to one of this', remote, local, 'ESTABLISHED');
    add('a connection of a pod of another node to one of this', remote, local, 'NEW', plain);
    add('replies of a pod of this node to one of another', local, remote, 'ESTABLISHED');
  }
  return samples;
}

/** Load balancers ask on these ports whether the node has endpoints. */
export function healthCheckSamples(family: Family, ports: readonly number[], routes: Routes): Sample[] {
  const uplink = routes.uplink(family) ?? 'eth0';
  return ports.map((dport) => ({
    chain: 'INPUT',
    what: `health checks on port ${dport}`,
    packet: {
      ...{ in: uplink, out: '', src: OUTSIDE[family], dst: OUTSIDE[family], protocol: 'tcp', dport },
      ...{ states: ['NEW'], mark: 0 },
    },
    before: {},
  }));
}
