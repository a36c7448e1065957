import ipaddr from 'ipaddr.js';
import type { AddressFacts, Device, DeviceClass } from './devices.js';

/** What this node answers on; becomes an entry of lb_addresses. */
export interface NodeAddress {
  ip: string;
  /** NodePort frontends answer here. */
  nodePorts: boolean;
  /** Serves node-local clients only, through the socket hooks. */
  loopback: boolean;
  /** One of the Node object's InternalIPs. */
  primary: boolean;
}

/** Source of SNAT on packets that leave through `ifindex`; ifindex 0: where a device has no address. */
export interface SnatSource {
  ifindex: number;
  family: 4 | 6;
  address: string;
}

export interface AddressInput {
  addresses: readonly AddressFacts[];
  devices: readonly Device[];
  /** The Node object's InternalIPs; empty while it is not known. */
  internalIPs: readonly string[];
  /** CIDRs, or `primary`; empty: all. */
  nodePortAddresses: readonly string[];
  /** Devices with a default route, used for ifindex 0 while the Node is not known. */
  defaultRouteDevices: readonly number[];
}

const SCOPE_LINK = 253;
const IFA_F_SECONDARY = 0x01; // IPv6: temporary
const IFA_F_DADFAILED = 0x08;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;

/** kube-proxy in ipvs mode puts every service address on this device; they are not the node's. */
const NOT_OURS = new Set(['kube-ipvs0']);

/**
 * The node's own addresses and what they accept, ordered by text. Addresses on pod devices (a gateway's /32)
 * and on pod bridges are the node's as well: a pod may use them as `nodeIP:nodePort`.
 * Left out: IPv6 link-local ones, which are meaningless without a zone, and those that failed or have not
 * passed duplicate address detection.
 */
export function computeNodeAddresses(input: AddressInput): NodeAddress[] {
  const accepts = nodePortFilter(input.nodePortAddresses, input.internalIPs);
  const internal = new Set(input.internalIPs);
  const byIp = new Map<string, NodeAddress>();
  const ignored = new Set(input.devices.filter((d) => NOT_OURS.has(d.name)).map((d) => d.ifindex));
  for (const address of input.addresses) {
    if (!isUsable(address) || ignored.has(address.ifindex)) continue;
    const loopback = isLoopbackAddress(address.address);
    byIp.set(address.address, {
      ip: address.address,
      nodePorts: accepts(address.address, address.family),
      loopback,
      primary: internal.has(address.address),
    });
  }
  return [...byIp.values()].sort((a, b) => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : 0));
}

function isUsable(address: AddressFacts): boolean {
  if (address.flags & (IFA_F_DADFAILED | IFA_F_TENTATIVE)) return false;
  return address.family === 4 || address.scope !== SCOPE_LINK;
}

function isLoopbackAddress(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1';
}

/**
 * SEMANTICS section 2: CIDRs restrict their own family only; `primary` is the InternalIPs; nothing given
 * accepts everything.
 */
function nodePortFilter(
  wanted: readonly string[],
  internalIPs: readonly string[],
): (ip: string, family: 4 | 6) => boolean {
  if (wanted.includes('primary')) return (ip) => internalIPs.includes(ip);
  const ranges = wanted.map((cidr) => ipaddr.parseCIDR(cidr));
  const byFamily = {
    4: ranges.filter(([address]) => address.kind() === 'ipv4'),
    6: ranges.filter(([address]) => address.kind() === 'ipv6'),
  };
  return (ip, family) => {
    const own = byFamily[family];
    if (own.length === 0) return true;
    const parsed = ipaddr.parse(ip);
    return own.some((range) => parsed.match(range));
  };
}

/**
 * Per device and family the address that MASQUERADE would pick: the first global one that is neither
 * secondary nor on its way out. Ordered by ifindex, then family.
 */
export function computeSnatSources(input: AddressInput): SnatSource[] {
  const classes = new Map<number, DeviceClass>(input.devices.map((d) => [d.ifindex, d.class]));
  const found = new Map<string, SnatSource>();
  for (const address of input.addresses) {
    const deviceClass = classes.get(address.ifindex);
    if (!deviceClass || deviceClass === 'loopback' || address.scope !== 0 || !isUsable(address)) continue;
    if (address.flags & (IFA_F_SECONDARY | IFA_F_DEPRECATED)) continue;
    const key = `${address.ifindex}/${address.family}`;
    if (found.has(key)) continue;
    found.set(key, { ifindex: address.ifindex, family: address.family, address: address.address });
  }
  for (const family of [4, 6] as const) {
    const address = nodeSource(input, family, found);
    if (address) found.set(`0/${family}`, { ifindex: 0, family, address });
  }
  return [...found.values()].sort((a, b) => a.ifindex - b.ifindex || a.family - b.family);
}

function nodeSource(input: AddressInput, family: 4 | 6, found: Map<string, SnatSource>): string | undefined {
  const local = new Set(input.addresses.map((a) => a.address));
  // A Node address that this machine does not carry (a cloud's NAT) must not become a packet's source.
  const internal = input.internalIPs.find((ip) => ip.includes(':') === (family === 6) && local.has(ip));
  if (internal) return internal;
  for (const ifindex of input.defaultRouteDevices) {
    const source = found.get(`${ifindex}/${family}`);
    if (source) return source.address;
  }
  return undefined;
}
