/** What a caller of createBox() can ask for. Pure: no file, no process. */

/**
 * How pods are connected:
 * - `routed`: every pod on its own veth with /32 and /128 routes, pod CIDRs routed between the nodes (ptp, kindnet, Calico without overlay)
 * - `bridge`: pods on `cni0` of their node, pod CIDRs routed between the nodes (bridge CNI, flannel host-gw)
 * - `vxlan`: like `routed`, other nodes' pods behind `flannel.1` (IPv4 underlay, both families inside)
 * - `flannel`: `bridge` within a node and `vxlan` between nodes
 * - `tunnel`: like `routed`, other nodes' pods behind `tun0`, a device without Ethernet header (WireGuard, IPIP,
 *   flannel's udp backend; IPv4 underlay, both families inside)
 */
export type BoxMode = 'routed' | 'bridge' | 'vxlan' | 'flannel' | 'tunnel';

/**
 * Netfilter rules of a node:
 * - `conntrack`: one ct rule, so that nf_conntrack is active
 * - `invalidDrop`: `ct state invalid drop` in forward and input
 * - `masquerade`: flannel's POSTROUTING rules, with its RETURN rules before the two MASQUERADE
 * - `forwardDrop`: FORWARD policy DROP, pod CIDRs accepted
 */
export type NetfilterPreset = 'conntrack' | 'invalidDrop' | 'masquerade' | 'forwardDrop';

export interface PodSpec {
  /** At most 11 characters (the host side of its veth is `veth<name>`); not the name of a node. */
  name: string;
  node: string;
  /** Default: 10.244.<node number>.<10, 11, ...>. */
  ipv4?: string;
  /** Default: fd00:244:<node number>::<10, 11, ...>. */
  ipv6?: string;
}

export interface BoxOptions {
  mode?: BoxMode;
  /** A number gives node1, node2, ... Default 2; at most 9. */
  nodes?: number;
  /** Default: pods a1 and a2 on node1, b1 and b2 on node2, ... */
  pods?: PodSpec[];
  /** Addresses of the outside client: .100 (the one it uses by itself), .101, ... Default 4. */
  outsideAddresses?: number;
  /** Whether the outside client has routes to the pod CIDRs through the nodes. Default true. */
  outsideRoutesToPods?: boolean;
  netfilter?: NetfilterPreset[] | Record<string, NetfilterPreset[]>;
  /** conf.all, conf.default of the nodes. Default 2. */
  rpFilter?: 0 | 1 | 2;
  /** net.bridge.bridge-nf-call-iptables and -ip6tables of the nodes. Default: as the kernel has it (1). */
  bridgeNfCallIptables?: 0 | 1;
  /** `off` at every sender: pods, nodes, outside, bridge ports. Default `on`, with xdp `off`. */
  txOffload?: 'on' | 'off';
  /** GRO of every veth end; `default` is the kernel's (off, without NAPI). Default `default`, with xdp `on`. */
  gro?: 'on' | 'off' | 'default';
  /**
   * What XDP_TX and redirect between veths need: txOffload `off`, gro `on`, and an XDP program that passes
   * everything on the switch ports of the nodes (GRO alone does not wake the receiver of XDP_TX).
   */
  xdp?: boolean;
  /** Of the underlay. Pods get the same, or 50 less behind vxlan, 28 behind a tunnel. Default 1500. */
  mtu?: number;
}

export interface NodePlan {
  name: string;
  /** From 1. */
  number: number;
  namespace: string;
  ipv4: string;
  ipv6: string;
  podCidr4: string;
  podCidr6: string;
  /** The pods' gateway. */
  gateway4: string;
  gateway6: string;
  netfilter: NetfilterPreset[];
}

export interface PodPlan {
  name: string;
  node: string;
  namespace: string;
  ipv4: string;
  ipv6: string;
  /** Name of the veth end in the node's namespace. */
  hostInterface: string;
}

export interface OutsidePlan {
  namespace: string;
  ipv4: string[];
  ipv6: string[];
}

export interface BoxPlan {
  id: string;
  mode: BoxMode;
  switchNamespace: string;
  nodes: NodePlan[];
  pods: PodPlan[];
  outside: OutsidePlan;
  outsideRoutesToPods: boolean;
  rpFilter: 0 | 1 | 2;
  bridgeNfCallIptables: 0 | 1 | undefined;
  txOffload: 'on' | 'off';
  gro: 'on' | 'off' | 'default';
  xdp: boolean;
  mtu: number;
  podMtu: number;
}

export const CLUSTER_CIDR4 = '10.244.0.0/16';
export const CLUSTER_CIDR6 = 'fd00:244::/32';
export const ROUTER4 = '172.30.0.1';
export const ROUTER6 = 'fd00:30::1';
/** Bytes of every packet between nodes; a tunnel's are an IPv4 and a UDP header. */
const OVERHEAD: Partial<Record<BoxMode, number>> = { vxlan: 50, flannel: 50, tunnel: 28 };

export function hasBridge(mode: BoxMode): boolean {
  return mode === 'bridge' || mode === 'flannel';
}

export function hasVxlan(mode: BoxMode): boolean {
  return mode === 'vxlan' || mode === 'flannel';
}

/** Every name and address of the box, before anything exists. Throws on options that contradict each other. */
export function planBox(id: string, options: BoxOptions): BoxPlan {
  const count = options.nodes ?? 2;
  if (!Number.isInteger(count) || count < 1 || count > 9) {
    throw new Error(`plan the box: nodes is ${count} (EINVAL). Give a number from 1 to 9.`);
  }
  const mode = options.mode ?? 'routed';
  const mtu = options.mtu ?? 1500;
  const nodes = Array.from({ length: count }, (_, i) => planNode(id, i + 1, options.netfilter));
  const plan: BoxPlan = {
    id,
    mode,
    switchNamespace: `sb${id}-switch`,
    nodes,
    pods: [],
    outside: planOutside(id, options.outsideAddresses ?? 4),
    outsideRoutesToPods: options.outsideRoutesToPods ?? true,
    rpFilter: options.rpFilter ?? 2,
    bridgeNfCallIptables: options.bridgeNfCallIptables,
    txOffload: options.txOffload ?? (options.xdp ? 'off' : 'on'),
    gro: options.gro ?? (options.xdp ? 'on' : 'default'),
    xdp: options.xdp ?? false,
    mtu,
    podMtu: mtu - (OVERHEAD[mode] ?? 0),
  };
  for (const spec of options.pods ?? defaultPods(nodes)) plan.pods.push(planPod(plan, spec));
  return plan;
}

function planNode(id: string, number: number, netfilter: BoxOptions['netfilter']): NodePlan {
  const name = `node${number}`;
  return {
    name,
    number,
    namespace: `sb${id}-${name}`,
    ipv4: `172.30.0.${10 + number}`,
    ipv6: `fd00:30::${10 + number}`,
    podCidr4: `10.244.${number}.0/24`,
    podCidr6: `fd00:244:${number}::/64`,
    gateway4: `10.244.${number}.1`,
    gateway6: `fd00:244:${number}::1`,
    netfilter: Array.isArray(netfilter) ? netfilter : (netfilter?.[name] ?? []),
  };
}

function planOutside(id: string, addresses: number): OutsidePlan {
  const numbers = Array.from({ length: Math.max(1, addresses) }, (_, i) => 100 + i);
  return {
    namespace: `sb${id}-outside`,
    ipv4: numbers.map((n) => `172.30.0.${n}`),
    ipv6: numbers.map((n) => `fd00:30::${n}`),
  };
}

function defaultPods(nodes: NodePlan[]): PodSpec[] {
  return nodes.flatMap((node) => {
    const letter = String.fromCharCode(96 + node.number);
    return [1, 2].map((n) => ({ name: `${letter}${n}`, node: node.name }));
  });
}

/** Fits one more pod into the plan (without adding it): free name, node, addresses. */
export function planPod(plan: BoxPlan, spec: PodSpec): PodPlan {
  const node = plan.nodes.find((n) => n.name === spec.node);
  if (!node) throw new Error(`plan pod ${spec.name}: no node ${spec.node} in the box (ENOENT).`);
  const taken = [...plan.nodes.map((n) => n.name), ...plan.pods.map((p) => p.name), 'outside', 'switch'];
  if (!/^[a-z0-9][a-z0-9-]{0,10}$/.test(spec.name) || taken.includes(spec.name)) {
    throw new Error(
      `plan pod ${spec.name}: the name is taken or not 1-11 of a-z, 0-9, - (EINVAL). Choose another.`,
    );
  }
  const used = new Set(plan.pods.map((p) => p.ipv4));
  let host = 10;
  while (used.has(`10.244.${node.number}.${host}`)) host++;
  return {
    name: spec.name,
    node: spec.node,
    namespace: `sb${plan.id}-${spec.name}`,
    ipv4: spec.ipv4 ?? `10.244.${node.number}.${host}`,
    ipv6: spec.ipv6 ?? `fd00:244:${node.number}::${host}`,
    hostInterface: `veth${spec.name}`,
  };
}
