// Where packet/netns.ts' network leads to: what bpf_fib_lookup must answer there.
import { parseIp } from '../packet/index.js';
import { DEVICES, type DeviceName, NODE2 } from '../packet/netns.js';

export type Route =
  | { kind: 'local' }
  | { kind: 'none' }
  /** mtu and macs are known only where the neighbour is. */
  | { kind: 'via'; device: DeviceName; mtu?: number; macs?: { dst: string; src: string } };

const far = (
  device: DeviceName,
  mtu: number = DEVICES[device].mtu,
  dst: string = DEVICES[device].peerMac,
): Route => ({
  kind: 'via',
  device,
  mtu,
  macs: { dst, src: DEVICES[device].mac },
});
const unresolved = (device: DeviceName): Route => ({ kind: 'via', device });
const LOCAL: Route = { kind: 'local' };

const TABLE: [string, Route][] = [
  ['127.0.0.0/8', LOCAL],
  ['::1/128', LOCAL],
  ['0.0.0.0/0', far('uplink')],
  ['::/0', far('uplink')],
  ['192.0.2.0/24', unresolved('uplink')],
  ['2001:db8:2::/64', unresolved('uplink')],
  ['192.0.2.1/32', far('uplink')],
  ['2001:db8:2::1/128', far('uplink')],
  [`${NODE2.ip4}/32`, far('uplink', 1500, NODE2.mac)],
  [`${NODE2.ip6}/128`, far('uplink', 1500, NODE2.mac)],
  ['198.51.100.0/24', unresolved('uplink2')],
  ['2001:db8:51::/64', unresolved('uplink2')],
  ['10.244.3.0/24', unresolved('overlay')],
  ['fd00:10:244:3::/64', unresolved('overlay')],
  ['10.244.3.2/32', far('overlay')],
  ['fd00:10:244:3::2/128', far('overlay')],
  ['10.244.2.0/24', far('uplink', 1500, NODE2.mac)],
  ['fd00:10:244:2::/64', far('uplink', 1500, NODE2.mac)],
  ['10.244.4.0/24', far('uplink', 1400, NODE2.mac)],
  ['fd00:10:244:4::/64', far('uplink', 1400, NODE2.mac)],
  ['10.244.9.0/24', unresolved('uplink')],
  ['fd00:10:244:9::/64', unresolved('uplink')],
  ['10.244.66.0/24', { kind: 'none' }],
  ['fd00:10:244:66::/64', { kind: 'none' }],
  ...(['11', '12', '13'] as const).flatMap((n): [string, Route][] => {
    const device = n === '11' ? 'pod1' : 'pod2';
    return [
      [`10.244.1.${n}/32`, far(device)],
      [`fd00:10:244:1::${n}/128`, far(device)],
    ];
  }),
  ...Object.values(DEVICES).flatMap((d): [string, Route][] =>
    'ip4' in d
      ? [
          [`${d.ip4}/32`, LOCAL],
          [`${d.ip6}/128`, LOCAL],
        ]
      : [],
  ),
];

export function contains(cidr: string, ip: string): boolean {
  const [prefix, bits] = cidr.split('/') as [string, string];
  const [a, b] = [parseIp(prefix), parseIp(ip)];
  if (a.length !== b.length) return false;
  for (let i = 0; i < Number(bits); i++) {
    const mask = 0x80 >> (i & 7);
    if (((a[i >> 3] as number) & mask) !== ((b[i >> 3] as number) & mask)) return false;
  }
  return true;
}

const known = new Map<string, Route>();

/** The most specific route. */
export function routeTo(ip: string): Route {
  let route = known.get(ip);
  if (!route) {
    const fitting = TABLE.filter(([cidr]) => contains(cidr, ip));
    fitting.sort(([a], [b]) => Number(b.split('/')[1]) - Number(a.split('/')[1]));
    route = fitting[0]?.[1] ?? { kind: 'none' };
    known.set(ip, route);
  }
  return route;
}

/** SNAT source by the way out: the device's own address, else the node's primary one. */
export function snatSource(device: DeviceName, family: 4 | 6): string {
  const d = DEVICES[device];
  const by = 'ip4' in d ? d : DEVICES.uplink;
  return family === 4 ? by.ip4 : by.ip6;
}
