import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';

// The node that packet tests happen on: devices with fixed numbers, addresses and neighbours, so that
// bpf_fib_lookup finds its way and tests can write every byte down.
//
//   pod1 10.244.1.11 ─┐                       ┌─ uplink  192.0.2.10/24, gateway .1, node2 .20
//   pod2 10.244.1.12 ─┤ node1 (this one)      ├─ uplink2 198.51.100.10/24
//                     └───────────────────────┴─ overlay 10.244.3.0/32 -> pods 10.244.3.0/24
//
// Pods 10.244.2.0/24 are routed over node2 on the uplink's network, clients over the gateway.

export interface Device {
  ifindex: number;
  /** Of the device itself and of who is at its other end. */
  mac: string;
  peerMac: string;
  class: 'DEVICE_POD' | 'DEVICE_OVERLAY' | 'DEVICE_UPLINK';
  mtu: number;
  ip4?: string;
  ip6?: string;
}

export const DEVICES = {
  uplink: {
    ifindex: 101,
    mac: '02:00:00:00:01:01',
    peerMac: '02:00:00:00:01:fe',
    class: 'DEVICE_UPLINK',
    mtu: 1500,
    ip4: '192.0.2.10',
    ip6: '2001:db8:2::10',
  },
  uplink2: {
    ifindex: 102,
    mac: '02:00:00:00:02:01',
    peerMac: '02:00:00:00:02:fe',
    class: 'DEVICE_UPLINK',
    mtu: 1500,
    ip4: '198.51.100.10',
    ip6: '2001:db8:51::10',
  },
  overlay: {
    ifindex: 121,
    mac: '02:00:00:00:03:01',
    peerMac: '02:00:00:00:03:fe',
    class: 'DEVICE_OVERLAY',
    mtu: 1450,
    ip4: '10.244.3.1',
    ip6: 'fd00:10:244:3::1',
  },
  pod1: {
    ifindex: 111,
    mac: '02:00:00:00:11:01',
    peerMac: '02:00:00:00:11:fe',
    class: 'DEVICE_POD',
    mtu: 1500,
  },
  pod2: {
    ifindex: 112,
    mac: '02:00:00:00:12:01',
    peerMac: '02:00:00:00:12:fe',
    class: 'DEVICE_POD',
    mtu: 1500,
  },
} as const satisfies Record<string, Device>;

export type DeviceName = keyof typeof DEVICES;

/** Node 2 on the uplink's network: the way to pods 10.244.2.0/24. */
export const NODE2 = { ip4: '192.0.2.20', ip6: '2001:db8:2::20', mac: '02:00:00:00:01:20' };
/** No neighbour entry: the way to 10.244.9.0/24. */
const UNKNOWN_NEIGHBOUR = { ip4: '192.0.2.99', ip6: '2001:db8:2::99' };

const SYSCTLS = [
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv6.conf.default.accept_dad=0',
];

function commands(): string {
  const lines: string[] = ['link set lo up'];
  for (const [name, d] of Object.entries<Device>(DEVICES)) {
    lines.push(
      `link add ${name} index ${d.ifindex} address ${d.mac} mtu ${d.mtu} type veth ` +
        `peer name ${name}-far index ${d.ifindex + 100} address ${d.peerMac} mtu ${d.mtu}`,
      `link set ${name} addrgenmode none`,
      `link set ${name}-far addrgenmode none`,
      `link set ${name} up`,
      `link set ${name}-far up`,
    );
    if (d.ip4) lines.push(`addr add ${d.ip4}/24 dev ${name}`);
    if (d.ip6) lines.push(`addr add ${d.ip6}/64 dev ${name} nodad`);
  }
  const neighbour = (ip: string, mac: string, device: string) =>
    lines.push(`neigh add ${ip} lladdr ${mac} nud permanent dev ${device}`);
  for (const [pod, n] of [
    ['pod1', 11],
    ['pod2', 12],
    ['pod2', 13],
  ] as const) {
    lines.push(`route add 10.244.1.${n}/32 dev ${pod}`, `route add fd00:10:244:1::${n}/128 dev ${pod}`);
    neighbour(`10.244.1.${n}`, DEVICES[pod].peerMac, pod);
    neighbour(`fd00:10:244:1::${n}`, DEVICES[pod].peerMac, pod);
  }
  lines.push(
    'route add default via 192.0.2.1',
    'route add default via 2001:db8:2::1',
    `route add 10.244.2.0/24 via ${NODE2.ip4}`,
    `route add fd00:10:244:2::/64 via ${NODE2.ip6}`,
    // Small enough on the way that a full frame does not fit.
    `route add 10.244.4.0/24 via ${NODE2.ip4} mtu lock 1400`,
    `route add fd00:10:244:4::/64 via ${NODE2.ip6} mtu lock 1400`,
    `route add 10.244.9.0/24 via ${UNKNOWN_NEIGHBOUR.ip4}`,
    `route add fd00:10:244:9::/64 via ${UNKNOWN_NEIGHBOUR.ip6}`,
    'route add unreachable 10.244.66.0/24',
    'route add unreachable fd00:10:244:66::/64',
    'route add 203.0.113.128/25 via 198.51.100.1',
  );
  neighbour('192.0.2.1', DEVICES.uplink.peerMac, 'uplink');
  neighbour('2001:db8:2::1', DEVICES.uplink.peerMac, 'uplink');
  neighbour(NODE2.ip4, NODE2.mac, 'uplink');
  neighbour(NODE2.ip6, NODE2.mac, 'uplink');
  neighbour('198.51.100.1', DEVICES.uplink2.peerMac, 'uplink2');
  for (const n of [2, 3, 4, 5]) {
    neighbour(`10.244.3.${n}`, DEVICES.overlay.peerMac, 'overlay');
    neighbour(`fd00:10:244:3::${n}`, DEVICES.overlay.peerMac, 'overlay');
  }
  return `${lines.join('\n')}\n`;
}

/** Fails unless netns-pool.ts gave this process a network namespace of its own. */
export function requirePrivateNetns(): void {
  const outer = process.env.SHUNT_TEST_OUTER_NETNS;
  if (outer === undefined || readlinkSync('/proc/self/ns/net') === outer) {
    throw new Error(
      "make packet test network: this process is in the machine's own network namespace (EPERM). " +
        'Run it with `npx vitest run --project packet`, whose processes have their own.',
    );
  }
}

let made = false;

/** Makes the devices once per process, in the process' own network namespace. */
export function makeNetwork(): void {
  requirePrivateNetns();
  if (made) return;
  execFileSync('sysctl', ['-q', '-w', ...SYSCTLS]);
  execFileSync('ip', ['-batch', '-'], { input: commands(), stdio: ['pipe', 'pipe', 'pipe'] });
  made = true;
}
