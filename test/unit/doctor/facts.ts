import type { DeviceFacts, Facts } from '../../../src/doctor/facts.js';

/** A node on which nothing is wrong: a real NIC, two pods of a routed CNI, no other proxy. */
export function healthy(): Facts {
  return {
    intent: {
      pinPath: '/sys/fs/bpf/shunt',
      cgroupPath: undefined,
      replaceKubeProxy: true,
      xdp: 'auto',
      socketLb: 'on',
      snatPortRange: { min: 10_000, max: 29_999 },
      nodePortRange: { min: 30_000, max: 32_767 },
    },
    features: {
      kernel: '6.12.1',
      kernelVersion: [6, 12],
      libbpf: '1.1',
      permitted: true,
      programs: true,
      btf: true,
      tcx: true,
      xdpLink: true,
      cgroupLink: true,
      ringbuf: true,
      lruHash: true,
      lpmTrie: true,
      devmapHash: true,
      batch: true,
      mmapArray: true,
      testRunTc: true,
      testRunXdp: true,
      membarrier: true,
      netnsCookie: true,
    },
    conntrackLookup: true,
    missingCapabilities: [],
    bpffs: { mounted: true, pinPathOnIt: true },
    cgroup: { path: '/sys/fs/cgroup', isCgroup2: true, isRoot: true, programs: {} },
    sysctls: {
      'net/ipv4/ip_forward': '1',
      'net/ipv6/conf/all/forwarding': '1',
      'net/ipv4/conf/all/rp_filter': '2',
      'net/ipv4/ip_local_port_range': '32768\t60999',
      'net/ipv4/ip_local_reserved_ports': '',
      'net/bridge/bridge-nf-call-iptables': '1',
    },
    hasIPv6: true,
    links: [link(2, 'eth0'), link(3, 'veth1', 'veth'), link(4, 'veth2', 'veth')],
    devices: [
      device(2, 'eth0', 'uplink', { driver: 'mlx5_core', xdpFeatures: 7 }),
      device(3, 'veth1', 'pod'),
      device(4, 'veth2', 'pod'),
    ],
    ownPrograms: [],
    agent: { pinned: false },
    nodePorts: { served: [], listeners: [], hostPorts: [], addresses: [] },
    kubeProxy: { chains: [], legacyTables: [], ipvsServices: 0 },
    api: { server: 'https://192.0.2.1:6443', answers: granted(), throughService: false },
  };
}

export function link(ifindex: number, name: string, kind?: string, master?: number): Facts['links'][number] {
  return {
    ifindex,
    name,
    flags: 1,
    up: true,
    mtu: 1500,
    ...(kind !== undefined && { kind }),
    ...(master !== undefined && { master }),
  };
}

export function device(
  ifindex: number,
  name: string,
  deviceClass: DeviceFacts['device']['class'],
  more: Partial<DeviceFacts> & { mtu?: number; kind?: string } = {},
): DeviceFacts {
  const { mtu = 1500, kind = deviceClass === 'pod' ? 'veth' : undefined, ...facts } = more;
  return { device: { ifindex, name, class: deviceClass, mtu, kind }, hooks: [], rpFilter: 0, ...facts };
}

export function granted() {
  const resources = ['services', 'nodes', 'endpointslices', 'servicecidrs'];
  return Object.fromEntries(
    resources.flatMap((name) =>
      ['list', 'watch'].map((verb) => [`${verb} ${name}`, { status: 200, detail: '' }] as const),
    ),
  );
}
