/** Renders the box's network as `ip -batch` lines and shell lines. Pure: box.ts runs them. */
import {
  type BoxPlan,
  CLUSTER_CIDR4,
  CLUSTER_CIDR6,
  hasBridge,
  hasVxlan,
  type NodePlan,
  type PodPlan,
  ROUTER4,
  ROUTER6,
} from './options.js';

const BRIDGE = 'cni0';
const OVERLAY = 'flannel.1';
const TUNNEL = 'tun0';
const TUNNEL_PORT = 8285;

/** Locally administered, unique within a box; `kind` keeps bridges and overlays apart. */
function mac(kind: number, number: number): string {
  return `02:53:48:00:0${kind}:0${number}`;
}

/**
 * Written before any interface exists, so that each one inherits it: addresses usable at once (no duplicate
 * address detection), no router advertisements.
 */
export function renderSysctls(plan: BoxPlan, role: 'node' | 'pod' | 'outside' | 'switch'): string {
  const forwards = role === 'node' || role === 'switch';
  const rpFilter = role === 'node' ? plan.rpFilter : 0;
  const lines = [
    'set_to() { [ ! -e /proc/sys/net/$1 ] || echo $2 > /proc/sys/net/$1; }',
    `set_to ipv4/ip_forward ${forwards ? 1 : 0}`,
    'set_to ipv4/tcp_tw_reuse 1',
  ];
  for (const scope of ['all', 'default']) {
    lines.push(
      `set_to ipv4/conf/${scope}/rp_filter ${rpFilter}`,
      `set_to ipv6/conf/${scope}/disable_ipv6 0`,
      `set_to ipv6/conf/${scope}/accept_dad 0`,
      `set_to ipv6/conf/${scope}/dad_transmits 0`,
      `set_to ipv6/conf/${scope}/accept_ra 0`,
      `set_to ipv6/conf/${scope}/router_solicitations 0`,
      `set_to ipv6/conf/${scope}/forwarding ${forwards ? 1 : 0}`,
    );
  }
  // The switch stands for hardware: netfilter must not see what it bridges.
  const bridgeNf = role === 'switch' ? 0 : role === 'node' ? plan.bridgeNfCallIptables : undefined;
  if (bridgeNf !== undefined) {
    lines.push(`set_to bridge/bridge-nf-call-iptables ${bridgeNf}`);
    lines.push(`set_to bridge/bridge-nf-call-ip6tables ${bridgeNf}`);
  }
  return lines.join('\n');
}

/** The underlay: one bridge, a port for every node and the outside client, and a router without routes. */
export function renderSwitch(plan: BoxPlan): string[] {
  const ends = [...plan.nodes, { name: 'outside', namespace: plan.outside.namespace }];
  return [
    'link set lo up',
    `link add br0 address ${mac(0, 1)} mtu ${plan.mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    'link set br0 up',
    ...ends.flatMap((end) => [
      `link add p-${end.name} mtu ${plan.mtu} type veth peer name eth0 mtu ${plan.mtu} netns ${end.namespace}`,
      `link set p-${end.name} master br0 up`,
    ]),
    `addr add ${ROUTER4}/24 dev br0`,
    `addr add ${ROUTER6}/64 dev br0 nodad`,
  ];
}

export function renderOutside(plan: BoxPlan): string[] {
  const lines = ['link set lo up', 'link set eth0 up'];
  plan.outside.ipv4.forEach((ip) => {
    lines.push(`addr add ${ip}/24 dev eth0`);
  });
  // A deprecated address is used only by those who bind to it: ::100 stays the source of all others.
  plan.outside.ipv6.forEach((ip, i) => {
    lines.push(`addr add ${ip}/64 dev eth0 nodad${i > 0 ? ' preferred_lft 0' : ''}`);
  });
  lines.push(`route add default via ${ROUTER4} dev eth0`, `route add default via ${ROUTER6} dev eth0`);
  if (plan.outsideRoutesToPods) {
    for (const node of plan.nodes) {
      lines.push(`route add ${node.podCidr4} via ${node.ipv4} dev eth0`);
      lines.push(`route add ${node.podCidr6} via ${node.ipv6} dev eth0`);
    }
  }
  return lines;
}

/** First step in a node: interfaces, its own addresses and routes. Before renderPod and renderPodRoutes. */
export function renderNode(plan: BoxPlan, node: NodePlan): string[] {
  const lines = [
    'link set lo up',
    'link set eth0 up',
    `addr add ${node.ipv4}/24 dev eth0`,
    `addr add ${node.ipv6}/64 dev eth0 nodad`,
    `route add default via ${ROUTER4} dev eth0`,
    `route add default via ${ROUTER6} dev eth0`,
  ];
  if (hasBridge(plan.mode)) {
    lines.push(
      `link add ${BRIDGE} address ${mac(1, node.number)} mtu ${plan.podMtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `link set ${BRIDGE} up`,
      `addr add ${node.gateway4}/24 dev ${BRIDGE}`,
      `addr add ${node.gateway6}/64 dev ${BRIDGE} nodad`,
    );
  }
  const others = plan.nodes.filter((n) => n !== node);
  if (hasVxlan(plan.mode)) lines.push(...renderOverlay(plan, node, others));
  else if (plan.mode === 'tunnel') lines.push(...renderTunnel(plan, node, others));
  else for (const other of others) lines.push(...renderDirectRoutes(other));
  return lines;
}

function renderDirectRoutes(other: NodePlan): string[] {
  return [
    `route add ${other.podCidr4} via ${other.ipv4} dev eth0`,
    `route add ${other.podCidr6} via ${other.ipv6} dev eth0`,
  ];
}

function network(node: NodePlan): { v4: string; v6: string } {
  return { v4: node.podCidr4.replace(/\/.*/, ''), v6: node.podCidr6.replace(/\/.*/, '') };
}

function renderTunnel(plan: BoxPlan, node: NodePlan, others: NodePlan[]): string[] {
  const own = network(node);
  return [
    `tuntap add dev ${TUNNEL} mode tun`,
    `link set ${TUNNEL} mtu ${plan.podMtu} up`,
    `addr add ${own.v4}/32 dev ${TUNNEL}`,
    `addr add ${own.v6}/128 dev ${TUNNEL} nodad`,
    ...others.flatMap((other) => [
      `route add ${other.podCidr4} dev ${TUNNEL}`,
      `route add ${other.podCidr6} dev ${TUNNEL}`,
    ]),
  ];
}

/** Arguments of the tool that carries a node's tunnel; undefined in other modes. */
export function tunnelArguments(plan: BoxPlan, node: NodePlan): string[] | undefined {
  if (plan.mode !== 'tunnel') return;
  const to = plan.nodes
    .filter((other) => other !== node)
    .flatMap((other) =>
      [other.podCidr4, other.podCidr6].flatMap((cidr) => ['--to', `${cidr}=${other.ipv4}:${TUNNEL_PORT}`]),
    );
  return [TUNNEL, '--local', `${node.ipv4}:${TUNNEL_PORT}`, ...to];
}

/** As flannel does it: the network address of the pod CIDR on the device, static neighbours, onlink routes. */
function renderOverlay(plan: BoxPlan, node: NodePlan, others: NodePlan[]): string[] {
  const own = network(node);
  return [
    `link add ${OVERLAY} address ${mac(2, node.number)} mtu ${plan.podMtu} type vxlan id 1 local ${node.ipv4} dev eth0 dstport 8472 nolearning`,
    `link set ${OVERLAY} up`,
    `addr add ${own.v4}/32 dev ${OVERLAY}`,
    `addr add ${own.v6}/128 dev ${OVERLAY} nodad`,
    ...others.flatMap((other) => {
      const { v4, v6 } = network(other);
      return [
        `neigh add ${v4} lladdr ${mac(2, other.number)} dev ${OVERLAY} nud permanent`,
        `neigh add ${v6} lladdr ${mac(2, other.number)} dev ${OVERLAY} nud permanent`,
        `route add ${other.podCidr4} via ${v4} dev ${OVERLAY} onlink`,
        `route add ${other.podCidr6} via ${v6} dev ${OVERLAY} onlink`,
      ];
    }),
  ];
}

/** Lines for `bridge -batch` in a node: which node the overlay's addresses live on. */
export function renderForwardingDatabase(plan: BoxPlan, node: NodePlan): string[] {
  if (!hasVxlan(plan.mode)) return [];
  return plan.nodes
    .filter((n) => n !== node)
    .map((n) => `fdb append ${mac(2, n.number)} dev ${OVERLAY} dst ${n.ipv4}`);
}

/** In the node: the veth pair of a pod. */
export function renderPodLink(plan: BoxPlan, pod: PodPlan): string[] {
  const master = hasBridge(plan.mode) ? ` master ${BRIDGE}` : '';
  return [
    `link add ${pod.hostInterface} mtu ${plan.podMtu} type veth peer name eth0 mtu ${plan.podMtu} netns ${pod.namespace}`,
    `link set ${pod.hostInterface}${master} up`,
  ];
}

/** In the pod. */
export function renderPod(plan: BoxPlan, node: NodePlan, pod: PodPlan): string[] {
  const lines = ['link set lo up', 'link set eth0 up'];
  if (hasBridge(plan.mode)) {
    lines.push(`addr add ${pod.ipv4}/24 dev eth0`, `addr add ${pod.ipv6}/64 dev eth0 nodad`);
  } else {
    lines.push(
      `addr add ${pod.ipv4}/32 dev eth0`,
      `addr add ${pod.ipv6}/128 dev eth0 nodad`,
      `route add ${node.gateway4} dev eth0 scope link`,
      `route add ${node.gateway6} dev eth0`,
    );
  }
  lines.push(`route add default via ${node.gateway4} dev eth0`);
  lines.push(`route add default via ${node.gateway6} dev eth0`);
  return lines;
}

/** In the node, after the pod's end is up: gateway address and routes of a pod on its own veth. */
export function renderPodRoutes(plan: BoxPlan, node: NodePlan, pod: PodPlan): string[] {
  if (hasBridge(plan.mode)) return [];
  return [
    `addr add ${node.gateway4}/32 dev ${pod.hostInterface}`,
    `addr add ${node.gateway6}/128 dev ${pod.hostInterface} nodad`,
    `route add ${pod.ipv4}/32 dev ${pod.hostInterface} scope link`,
    `route add ${pod.ipv6}/128 dev ${pod.hostInterface}`,
  ];
}

/** Shell lines that set the offloads of all given interfaces of one namespace. */
export function renderOffloads(plan: BoxPlan, interfaces: string[]): string[] {
  const settings = [
    ...(plan.txOffload === 'off' ? ['tx off'] : []),
    ...(plan.gro === 'default' ? [] : [`gro ${plan.gro}`]),
  ];
  if (settings.length === 0) return [];
  return interfaces.map((name) => `ethtool -K ${name} ${settings.join(' ')} >/dev/null`);
}

/** iptables-restore and nft input of a node's presets; undefined where a preset needs none. */
export function renderNetfilter(node: NodePlan): { nft?: string; iptables?: string; ip6tables?: string } {
  const has = (preset: NodePlan['netfilter'][number]) => node.netfilter.includes(preset);
  const rendered: { nft?: string; iptables?: string; ip6tables?: string } = {};
  if (has('conntrack') || has('invalidDrop')) {
    const rule = has('invalidDrop') ? 'ct state invalid counter drop' : 'ct state new counter';
    rendered.nft = [
      'table inet box {',
      `  chain forward { type filter hook forward priority 0; ${rule}; }`,
      `  chain input { type filter hook input priority 0; ${rule}; }`,
      '}',
      '',
    ].join('\n');
  }
  if (has('masquerade') || has('forwardDrop')) {
    const render = (cluster: string, own: string, multicast: string) =>
      [
        ...(has('masquerade') ? renderMasquerade(cluster, own, multicast) : []),
        ...(has('forwardDrop') ? renderForwardDrop(cluster) : []),
        '',
      ].join('\n');
    rendered.iptables = render(CLUSTER_CIDR4, node.podCidr4, '224.0.0.0/4');
    rendered.ip6tables = render(CLUSTER_CIDR6, node.podCidr6, 'ff00::/8');
  }
  return rendered;
}

function renderMasquerade(cluster: string, own: string, multicast: string): string[] {
  return [
    '*nat',
    ':FLANNEL-POSTRTG - [0:0]',
    '-A POSTROUTING -j FLANNEL-POSTRTG',
    '-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN',
    `-A FLANNEL-POSTRTG -s ${own} -d ${cluster} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${cluster} -d ${own} -j RETURN`,
    `-A FLANNEL-POSTRTG ! -s ${cluster} -d ${own} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${cluster} ! -d ${multicast} -j MASQUERADE --random-fully`,
    `-A FLANNEL-POSTRTG ! -s ${cluster} -d ${cluster} -j MASQUERADE --random-fully`,
    'COMMIT',
  ];
}

function renderForwardDrop(cluster: string): string[] {
  return [
    '*filter',
    ':FORWARD DROP [0:0]',
    `-A FORWARD -s ${cluster} -j ACCEPT`,
    `-A FORWARD -d ${cluster} -j ACCEPT`,
    'COMMIT',
  ];
}
