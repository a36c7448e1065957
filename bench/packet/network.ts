/** The node of the packet bench: devices, routes and permanent neighbours for bpf_fib_lookup. */
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';

//   pod 10.244.1.11 ── pod1 ┐        ┌ uplink 192.0.2.10/24 ── gateway .1, node2 .20
//   pod 10.244.1.12 ── pod2 ┘ node1  └   pods of node2: 10.244.2.0/24

export interface Device {
  ifindex: number;
  mac: string;
  peerMac: string;
  mtu: number;
}

export const DEVICES = {
  uplink: { ifindex: 101, mac: '02:00:00:00:01:01', peerMac: '02:00:00:00:01:fe', mtu: 1500 },
  pod1: { ifindex: 111, mac: '02:00:00:00:11:01', peerMac: '02:00:00:00:11:fe', mtu: 1500 },
  pod2: { ifindex: 112, mac: '02:00:00:00:12:01', peerMac: '02:00:00:00:12:fe', mtu: 1500 },
} as const satisfies Record<string, Device>;

export type DeviceName = keyof typeof DEVICES;

export const NODE2_MAC = '02:00:00:00:01:20';

export interface Book {
  family: 4 | 6;
  /** Pods of this node behind devices pod1 and pod2. */
  pod1: string;
  pod2: string;
  /** Three pods of node2, by the uplink. */
  remotes: readonly [string, string, string];
  /** A client outside, by the gateway, and somewhere that nobody has an opinion about. */
  client: string;
  elsewhere: string;
  node: string;
  hairpin: string;
  /** Cluster IP number n, 0 to 65535: the low 16 bits of the address. */
  vip(n: number): string;
}

const BOOK4: Book = {
  family: 4,
  pod1: '10.244.1.11',
  pod2: '10.244.1.12',
  remotes: ['10.244.2.21', '10.244.2.22', '10.244.2.23'],
  client: '203.0.113.7',
  elsewhere: '198.18.0.9',
  node: '192.0.2.10',
  hairpin: '169.254.42.1',
  vip: (n) => `10.96.${n >> 8}.${n & 255}`,
};

const BOOK6: Book = {
  family: 6,
  pod1: 'fd00:10:244:1::11',
  pod2: 'fd00:10:244:1::12',
  remotes: ['fd00:10:244:2::21', 'fd00:10:244:2::22', 'fd00:10:244:2::23'],
  client: '2001:db8:cafe::7',
  elsewhere: '2001:db8:face::9',
  node: '2001:db8:2::10',
  hairpin: 'fd00:5408:1::1',
  vip: (n) => (n === 0 ? 'fd00:10:96::' : `fd00:10:96::${n.toString(16)}`),
};

export const BOOKS: Record<4 | 6, Book> = { 4: BOOK4, 6: BOOK6 };

const SYSCTLS = [
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv6.conf.default.accept_dad=0',
];

function commands(): string {
  const lines = ['link set lo up'];
  for (const [name, d] of Object.entries(DEVICES)) {
    lines.push(
      `link add ${name} index ${d.ifindex} address ${d.mac} mtu ${d.mtu} type veth ` +
        `peer name ${name}-far address ${d.peerMac} mtu ${d.mtu}`,
      `link set ${name} addrgenmode none`,
      `link set ${name}-far addrgenmode none`,
      `link set ${name} up`,
      `link set ${name}-far up`,
    );
  }
  const neighbour = (ip: string, mac: string, device: string) =>
    lines.push(`neigh add ${ip} lladdr ${mac} nud permanent dev ${device}`);
  const [node2, node2v6] = ['192.0.2.20', '2001:db8:2::20'];
  lines.push(`addr add ${BOOK4.node}/24 dev uplink`, `addr add ${BOOK6.node}/64 dev uplink nodad`);
  for (const device of ['pod1', 'pod2'] as const) {
    for (const [book, bits] of [
      [BOOK4, 32],
      [BOOK6, 128],
    ] as const) {
      lines.push(`route add ${book[device]}/${bits} dev ${device}`);
      neighbour(book[device], DEVICES[device].peerMac, device);
    }
  }
  lines.push(
    'route add default via 192.0.2.1',
    'route add default via 2001:db8:2::1',
    `route add 10.244.2.0/24 via ${node2}`,
    `route add fd00:10:244:2::/64 via ${node2v6}`,
  );
  neighbour('192.0.2.1', DEVICES.uplink.peerMac, 'uplink');
  neighbour('2001:db8:2::1', DEVICES.uplink.peerMac, 'uplink');
  neighbour(node2, NODE2_MAC, 'uplink');
  neighbour(node2v6, NODE2_MAC, 'uplink');
  return `${lines.join('\n')}\n`;
}

/** Names the network namespace of whoever started this process, which gave it one of its own. */
export const OUTER_NETNS = 'SHUNT_BENCH_OUTER_NETNS';

function hasOwnNetns(): boolean {
  const outer = process.env[OUTER_NETNS] ?? process.env.SHUNT_TEST_OUTER_NETNS;
  return outer !== undefined && readlinkSync('/proc/self/ns/net') !== outer;
}

let made = false;

/**
 * Makes the devices, once per process.
 * @throws Error when this process has no network namespace of its own.
 */
export function makeNetwork(): void {
  if (!hasOwnNetns()) {
    throw new Error(
      "make bench network: this process is in the machine's own network namespace (EPERM). " +
        'Run it with `unshare --net --mount`, as `npm run bench` does.',
    );
  }
  if (made) return;
  execFileSync('sysctl', ['-q', '-w', ...SYSCTLS]);
  execFileSync('ip', ['-batch', '-'], { input: commands(), stdio: ['pipe', 'pipe', 'pipe'] });
  made = true;
}
