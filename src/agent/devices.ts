import type { DevicePatterns } from './options.js';
import { compilePatterns } from './patterns.js';

/** What classification needs of a link; a subset of src/native's LinkInfo. */
export interface LinkFacts {
  ifindex: number;
  name: string;
  /** IFLA_INFO_KIND; absent for real NICs and loopback. */
  kind?: string;
  /** IFF_* bits. */
  flags: number;
  up: boolean;
  mtu: number;
  master?: number;
  /** IFLA_LINK_NETNSID: present when the peer lives in another network namespace. */
  peerNetnsId?: number;
  /** Hardware address, colon-separated; of other lengths, or absent, without Ethernet. */
  mac?: string;
}

/** A subset of src/native's AddressInfo. */
export interface AddressFacts {
  ifindex: number;
  family: 4 | 6;
  address: string;
  prefixLength: number;
  /** RT_SCOPE_*: 0 global, 253 link, 254 host. */
  scope: number;
  /** IFA_F_* bits. */
  flags: number;
}

/** A subset of src/native's RouteInfo. */
export interface RouteFacts {
  family: 4 | 6;
  /** Absent or all zero: the default route, if prefixLength is 0. */
  dst?: string;
  prefixLength: number;
  oif?: number;
  /** Of a multipath route, which has no oif of its own. */
  nextHops?: { oif: number }[];
  /** RTN_*; 1 is unicast. */
  type: number;
}

/** `layer3`: an overlay without Ethernet header; it gets programs of its own. */
export type DeviceClass = 'pod' | 'overlay' | 'uplink' | 'bridge' | 'loopback' | 'layer3';

export interface Device {
  ifindex: number;
  name: string;
  class: DeviceClass;
  mtu: number;
  /** IFLA_INFO_KIND; undefined for real NICs. */
  kind: string | undefined;
  /** Ifindex of the bridge that a pod's device is a port of. */
  bridge?: number;
  /** Ethernet address, colon-separated. */
  mac?: string;
  /** A pod's: the kernel's id for the network namespace of the other end, plus 1. */
  netns?: number;
}

export interface HostFacts {
  links: readonly LinkFacts[];
  addresses: readonly AddressFacts[];
  routes: readonly RouteFacts[];
  /** The Node object's InternalIPs; empty while it is not known. */
  internalIPs: readonly string[];
}

const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;
const IFF_LOOPBACK = 0x8;
const IFF_POINTOPOINT = 0x10;
const SCOPE_GLOBAL = 0;
const RTN_UNICAST = 1;

const OVERLAY_KINDS = new Set(['vxlan', 'geneve', 'gretap', 'ip6gretap', 'erspan', 'ip6erspan']);

/** Tunnels whose packets begin with the IP header. */
const LAYER3_KINDS = new Set([
  'ipip',
  'sit',
  'ip6tnl',
  'gre',
  'ip6gre',
  'wireguard',
  'vti',
  'vti6',
  'xfrm',
  'gtp',
  'bareudp',
]);

/** One end of a cable into a pod or a virtual machine. */
const ENDPOINT_KINDS = new Set(['veth', 'netkit', 'tun']);

/**
 * Sorts the node's devices into the classes of ARCHITECTURE section 1; devices that concern nobody are
 * absent. Pure: the same facts give the same list, ordered by ifindex.
 *
 * A device that was `previous`ly an uplink or overlay stays one while it exists and is not enslaved: a NIC
 * that loses carrier or renews its lease must not lose the programs that restore its replies.
 */
export function classifyDevices(
  facts: HostFacts,
  patterns: DevicePatterns,
  previous: ReadonlyMap<number, DeviceClass> = new Map(),
): Device[] {
  const context = new Context(facts, patterns, previous);
  return facts.links
    .map((link) => ({ link, class: context.classOf(link) }))
    .filter((entry): entry is { link: LinkFacts; class: DeviceClass } => entry.class !== undefined)
    .map(({ link, class: deviceClass }) => ({
      ifindex: link.ifindex,
      name: link.name,
      class: deviceClass,
      mtu: link.mtu,
      kind: link.kind,
      ...context.bridgeOf(link, deviceClass),
      ...netnsOf(link, deviceClass),
      ...(link.mac && MAC.test(link.mac) ? { mac: link.mac } : {}),
    }))
    .sort((a, b) => a.ifindex - b.ifindex);
}

function netnsOf(link: LinkFacts, deviceClass: DeviceClass): { netns?: number } {
  // -1: the kernel has given it no id.
  return deviceClass === 'pod' && link.peerNetnsId !== undefined && link.peerNetnsId >= 0
    ? { netns: link.peerNetnsId + 1 }
    : {};
}

class Context {
  readonly #previous: ReadonlyMap<number, DeviceClass>;
  readonly #kinds: Map<number, string | undefined>;
  readonly #portsOf = new Map<number, LinkFacts[]>();
  /** Devices with a global address. */
  readonly #addressed = new Set<number>();
  /** Devices that carry the Node's own address or a default route: never a pod's. */
  readonly #ofNode = new Set<number>();
  readonly #matches: Record<keyof DevicePatterns, (name: string) => boolean>;

  constructor(facts: HostFacts, patterns: DevicePatterns, previous: ReadonlyMap<number, DeviceClass>) {
    this.#previous = previous;
    this.#kinds = new Map(facts.links.map((link) => [link.ifindex, link.kind]));
    for (const link of facts.links) {
      if (!link.master) continue;
      const ports = this.#portsOf.get(link.master);
      if (ports) ports.push(link);
      else this.#portsOf.set(link.master, [link]);
    }
    const internal = new Set(facts.internalIPs);
    for (const address of facts.addresses) {
      if (address.scope === SCOPE_GLOBAL) this.#addressed.add(address.ifindex);
      if (internal.has(address.address)) this.#ofNode.add(address.ifindex);
    }
    for (const route of facts.routes) {
      if (route.prefixLength !== 0 || route.type !== RTN_UNICAST) continue;
      for (const ifindex of routeDevices(route)) this.#ofNode.add(ifindex);
    }
    this.#matches = {
      ignore: compilePatterns(patterns.ignore),
      pod: compilePatterns(patterns.pod),
      uplink: compilePatterns(patterns.uplink),
      overlay: compilePatterns(patterns.overlay),
    };
  }

  classOf(link: LinkFacts): DeviceClass | undefined {
    if (this.#matches.ignore(link.name)) return undefined;
    if (link.flags & IFF_LOOPBACK) return 'loopback';
    if (this.#matches.pod(link.name)) return 'pod';
    if (this.#matches.uplink(link.name)) return isLayer3(link) ? 'layer3' : 'uplink';
    if (this.#matches.overlay(link.name)) return isLayer3(link) ? 'layer3' : 'overlay';
    if (this.#isSlave(link)) return undefined;
    if (this.#isPod(link)) return 'pod';
    // Fallback devices (tunl0, sit0) exist, down, wherever the module is loaded.
    if (isOverlay(link)) return link.up || this.#was(link, 'overlay') ? 'overlay' : undefined;
    if (isLayer3(link)) return link.up || this.#was(link, 'layer3') ? 'layer3' : undefined;
    if (this.#isPodBridge(link)) return 'bridge';
    // A NIC under a bridge: what it receives reaches the bridge's own hooks.
    if (this.#isBridgePort(link)) return undefined;
    if (link.up && this.#addressed.has(link.ifindex)) return 'uplink';
    return this.#was(link, 'uplink') ? 'uplink' : undefined;
  }

  bridgeOf(link: LinkFacts, deviceClass: DeviceClass): { bridge?: number } {
    return deviceClass === 'pod' && link.master && this.#isBridgePort(link) ? { bridge: link.master } : {};
  }

  #was(link: LinkFacts, deviceClass: DeviceClass): boolean {
    return this.#previous.get(link.ifindex) === deviceClass;
  }

  #masterKind(link: LinkFacts): string | undefined {
    return link.master ? this.#kinds.get(link.master) : undefined;
  }

  #isSlave(link: LinkFacts): boolean {
    const kind = this.#masterKind(link);
    return kind === 'bond' || kind === 'team';
  }

  #isBridgePort(link: LinkFacts): boolean {
    return this.#masterKind(link) === 'bridge';
  }

  #isPod(link: LinkFacts): boolean {
    if (!link.kind || !ENDPOINT_KINDS.has(link.kind)) return false;
    if (this.#ofNode.has(link.ifindex)) return false;
    if (this.#isBridgePort(link)) return true;
    return link.kind !== 'tun' && link.peerNetnsId !== undefined;
  }

  /** No port yet counts too: it would change class, and its hooks, with its first pod. */
  #isPodBridge(link: LinkFacts): boolean {
    if (link.kind !== 'bridge' || this.#ofNode.has(link.ifindex)) return false;
    return (this.#portsOf.get(link.ifindex) ?? []).every((port) => this.#isPod(port) || isOverlay(port));
  }
}

function isOverlay(link: LinkFacts): boolean {
  return link.kind !== undefined && OVERLAY_KINDS.has(link.kind);
}

/** A tun without Ethernet headers is a tunnel (VPN, flannel's udp backend); a tap is a machine's cable. */
function isLayer3(link: LinkFacts): boolean {
  if (!link.kind) return false;
  return LAYER3_KINDS.has(link.kind) || (link.kind === 'tun' && (link.flags & IFF_POINTOPOINT) !== 0);
}

/** Devices that a route leads to; several for a multipath route. */
export function routeDevices(route: RouteFacts): number[] {
  return [route.oif ?? 0, ...(route.nextHops ?? []).map((hop) => hop.oif)].filter((ifindex) => ifindex > 0);
}
