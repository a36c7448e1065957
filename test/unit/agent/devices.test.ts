import { describe, expect, it } from 'vitest';
import {
  type AddressFacts,
  classifyDevices,
  type HostFacts,
  type LinkFacts,
  type RouteFacts,
} from '../../../src/agent/devices.js';
import type { DevicePatterns } from '../../../src/agent/options.js';

const NO_PATTERNS: DevicePatterns = { ignore: [], pod: [], uplink: [], overlay: [] };
const UP = 0x1;

function link(ifindex: number, name: string, more: Partial<LinkFacts> = {}): LinkFacts {
  return { ifindex, name, flags: UP, up: true, mtu: 1500, ...more };
}

function address(ifindex: number, text: string, more: Partial<AddressFacts> = {}): AddressFacts {
  const [ip = '', length = '32'] = text.split('/');
  const family = ip.includes(':') ? 6 : 4;
  return { ifindex, family, address: ip, prefixLength: Number(length), scope: 0, flags: 0, ...more };
}

function defaultRoute(oif: number, family: 4 | 6 = 4): RouteFacts {
  return { family, prefixLength: 0, oif, type: 1 };
}

function classes(facts: Partial<HostFacts>, patterns = {}, previous?: Map<number, 'uplink'>): string[] {
  const whole: HostFacts = { links: [], addresses: [], routes: [], internalIPs: [], ...facts };
  return classifyDevices(whole, { ...NO_PATTERNS, ...patterns }, previous).map((d) => `${d.name} ${d.class}`);
}

const podVeth = (ifindex: number, name: string, more: Partial<LinkFacts> = {}) =>
  link(ifindex, name, { kind: 'veth', peerNetnsId: 3, ...more });

interface Row {
  it: string;
  facts: Partial<HostFacts>;
  patterns?: Partial<DevicePatterns>;
  want: string[];
}

const rows: Row[] = [
  { it: 'names loopback', facts: { links: [link(1, 'lo', { flags: UP | 0x8 })] }, want: ['lo loopback'] },
  {
    it: 'takes a NIC with a global address for an uplink',
    facts: { links: [link(2, 'eth0')], addresses: [address(2, '10.0.0.1/24')] },
    want: ['eth0 uplink'],
  },
  {
    it: 'takes a second NIC without a default route for an uplink too',
    facts: {
      links: [link(2, 'eth0'), link(3, 'eth1')],
      addresses: [address(2, '10.0.0.1/24'), address(3, '192.168.7.1/24')],
      routes: [defaultRoute(2)],
    },
    want: ['eth0 uplink', 'eth1 uplink'],
  },
  { it: 'leaves a NIC without an address alone', facts: { links: [link(2, 'eth0')] }, want: [] },
  {
    it: 'does not count a link-local address',
    facts: { links: [link(2, 'eth0')], addresses: [address(2, 'fe80::1/64', { scope: 253 })] },
    want: [],
  },
  {
    it: 'leaves a NIC alone that is down',
    facts: { links: [link(2, 'eth0', { up: false, flags: 0 })], addresses: [address(2, '10.0.0.1/24')] },
    want: [],
  },
  {
    it: 'takes a veth into another namespace for a pod, before it is up',
    facts: { links: [podVeth(5, 'cali1', { up: false, flags: 0 })] },
    want: ['cali1 pod'],
  },
  {
    it: 'keeps it a pod with a /32 gateway address',
    facts: {
      links: [podVeth(5, 'veth1')],
      addresses: [address(5, '10.244.0.1/32')],
      routes: [defaultRoute(2)],
    },
    want: ['veth1 pod'],
  },
  {
    it: 'takes the veth that carries the Node address for an uplink',
    facts: {
      links: [podVeth(2, 'eth0'), podVeth(5, 'veth1')],
      addresses: [address(2, '10.0.0.1/24')],
      internalIPs: ['10.0.0.1'],
    },
    want: ['eth0 uplink', 'veth1 pod'],
  },
  {
    it: 'takes the veth with the default route for an uplink while the Node is unknown',
    facts: { links: [podVeth(2, 'eth0')], addresses: [address(2, '10.0.0.1/24')], routes: [defaultRoute(2)] },
    want: ['eth0 uplink'],
  },
  {
    it: 'lets an IPv6 default route count',
    facts: {
      links: [podVeth(2, 'eth0')],
      addresses: [address(2, 'fd00::1/64')],
      routes: [defaultRoute(2, 6)],
    },
    want: ['eth0 uplink'],
  },
  {
    it: 'does not take an unreachable default route for one',
    facts: { links: [podVeth(2, 'veth0')], routes: [{ ...defaultRoute(2), type: 7 }] },
    want: ['veth0 pod'],
  },
  {
    it: 'leaves a veth pair within the node alone',
    facts: { links: [link(5, 'patch0', { kind: 'veth' }), link(6, 'patch1', { kind: 'veth' })] },
    want: [],
  },
  {
    it: 'takes bridge ports for pods and their bridge for a bridge, gateway address or not',
    facts: {
      links: [link(4, 'cni0', { kind: 'bridge' }), podVeth(5, 'veth1', { master: 4 })],
      addresses: [address(4, '10.244.0.1/24')],
    },
    want: ['cni0 bridge', 'veth1 pod'],
  },
  {
    it: "takes a virtual machine's tap on a bridge for a pod",
    facts: { links: [link(4, 'br0', { kind: 'bridge' }), link(5, 'tap0', { kind: 'tun', master: 4 })] },
    want: ['br0 bridge', 'tap0 pod'],
  },
  {
    it: 'calls a bridge that has no port yet a bridge',
    facts: { links: [link(4, 'docker0', { kind: 'bridge' })], addresses: [address(4, '172.17.0.1/16')] },
    want: ['docker0 bridge'],
  },
  {
    it: 'takes a bridge over a NIC for the uplink, not the NIC',
    facts: {
      links: [link(2, 'eth0', { master: 4 }), link(4, 'br0', { kind: 'bridge' })],
      addresses: [address(4, '10.0.0.1/24')],
    },
    want: ['br0 uplink'],
  },
  {
    it: 'takes a bridge that carries the Node address for the uplink even with only virtual ports',
    facts: {
      links: [link(4, 'br0', { kind: 'bridge' }), podVeth(5, 'veth1', { master: 4 })],
      addresses: [address(4, '10.0.0.1/24')],
      internalIPs: ['10.0.0.1'],
    },
    want: ['br0 uplink', 'veth1 pod'],
  },
  {
    it: 'attaches to a bond, not to its slaves',
    facts: {
      links: [
        link(2, 'eth0', { master: 4 }),
        link(3, 'eth1', { master: 4 }),
        link(4, 'bond0', { kind: 'bond' }),
      ],
      addresses: [address(4, '10.0.0.1/24')],
    },
    want: ['bond0 uplink'],
  },
  {
    it: 'treats a VRF member as the uplink it is',
    facts: {
      links: [link(2, 'eth0', { master: 9 }), link(9, 'vrf-blue', { kind: 'vrf' })],
      addresses: [address(2, '10.0.0.1/24')],
    },
    want: ['eth0 uplink'],
  },
  {
    it: 'takes a VLAN with an address for an uplink, not the NIC below',
    facts: {
      links: [link(2, 'eth0'), link(3, 'eth0.7', { kind: 'vlan' })],
      addresses: [address(3, '10.0.7.1/24')],
    },
    want: ['eth0.7 uplink'],
  },
  {
    it: 'names tunnels overlays, address or not',
    facts: {
      links: ['vxlan', 'geneve', 'gretap', 'ipip', 'sit', 'ip6tnl', 'wireguard'].map((kind, i) =>
        link(i + 10, kind, { kind }),
      ),
    },
    want: [
      ...['vxlan', 'geneve', 'gretap'].map((kind) => `${kind} overlay`),
      ...['ipip', 'sit', 'ip6tnl', 'wireguard'].map((kind) => `${kind} layer3`),
    ],
  },
  {
    it: 'leaves a tunnel device that is down alone',
    facts: { links: [link(7, 'tunl0', { kind: 'ipip', up: false, flags: 0 })] },
    want: [],
  },
  {
    it: 'tells a point-to-point tun, which has no Ethernet header, from an overlay',
    facts: { links: [link(7, 'tun0', { kind: 'tun', flags: UP | 0x10 })] },
    want: ['tun0 layer3'],
  },
  {
    it: 'keeps a vxlan that is a bridge port an overlay and the bridge a bridge',
    facts: {
      links: [
        link(4, 'cni0', { kind: 'bridge' }),
        link(5, 'vxlan0', { kind: 'vxlan', master: 4 }),
        podVeth(6, 'veth1', { master: 4 }),
      ],
    },
    want: ['cni0 bridge', 'vxlan0 overlay', 'veth1 pod'],
  },
  {
    it: 'lets patterns override the rules',
    facts: {
      links: [podVeth(5, 'wan0'), podVeth(6, 'veth1'), link(7, 'eth7'), link(8, 'tunl9')],
      addresses: [address(7, '10.0.0.7/24')],
    },
    patterns: { uplink: ['wan*'], pod: ['eth?'], overlay: ['tunl*'], ignore: ['veth1'] },
    want: ['wan0 uplink', 'eth7 pod', 'tunl9 overlay'],
  },
  {
    it: 'takes a dot in a pattern for a dot',
    facts: { links: [link(2, 'eth0.7'), link(3, 'eth0x7')], addresses: [] },
    patterns: { uplink: ['eth0.7'] },
    want: ['eth0.7 uplink'],
  },
];

describe('classifyDevices', () => {
  for (const row of rows) {
    it(row.it, () => expect(classes(row.facts, row.patterns)).toEqual(row.want));
  }

  it('tells of which bridge a pod device is a port', () => {
    const facts = {
      links: [
        link(4, 'cni0', { kind: 'bridge' }),
        podVeth(5, 'veth1', { master: 4 }),
        podVeth(6, 'veth2'),
        link(7, 'vxlan0', { kind: 'vxlan', master: 4 }),
      ],
      addresses: [],
      routes: [],
      internalIPs: [],
    };
    const devices = classifyDevices(facts, { ignore: [], pod: [], uplink: [], overlay: [] });
    expect(devices.map((d) => d.bridge)).toEqual([undefined, 4, undefined, undefined]);
  });

  it('keeps an uplink that lost its carrier or its address', () => {
    const facts = { links: [link(2, 'eth0', { up: false, flags: 0 })] };
    expect(classes(facts, {}, new Map([[2, 'uplink']]))).toEqual(['eth0 uplink']);
  });

  it('gives an uplink up that became a slave', () => {
    const facts = { links: [link(2, 'eth0', { master: 4 }), link(4, 'bond0', { kind: 'bond' })] };
    expect(classes(facts, {}, new Map([[2, 'uplink']]))).toEqual([]);
  });
});
