import { describe, expect, it } from 'vitest';
import type { Listener } from '../../../src/agent/node-ports/listeners.js';
import type { Facts } from '../../../src/doctor/facts.js';
import { diagnose } from '../../../src/doctor/index.js';
import { run } from '../cli/fake.js';
import { device, granted, healthy, link } from './facts.js';

type Change = (facts: Facts) => void;

const sysctl =
  (name: string, value: string): Change =>
  (facts) => {
    facts.sysctls[name] = value;
  };
const hook =
  (
    ifindex: number,
    name: Facts['devices'][number]['hooks'][number]['hook'],
    program: string,
    progId = 77,
  ): Change =>
  (facts) => {
    facts.devices
      .find((d) => d.device.ifindex === ifindex)
      ?.hooks.push({
        hook: name,
        programs: [{ progId, name: program }],
      });
  };
const answer =
  (what: string, status: number): Change =>
  (facts) => {
    facts.api = {
      server: 'https://192.0.2.1:6443',
      throughService: false,
      answers: { ...granted(), [what]: { status, detail: 'services is forbidden' } },
    };
  };
const beside: Change = (facts) => {
  facts.intent.replaceKubeProxy = false;
};
const chains =
  (...names: [table: string, name: string][]): Change =>
  (facts) => {
    facts.kubeProxy.chains = names.map(([table, name]) => ({ family: 2, table, name }));
  };

/** A Service with NodePort 30080/TCP, and who else wants ports. */
const wanted =
  (o: { listeners?: Pick<Listener, 'ip' | 'family' | 'port'>[]; hostPorts?: number[] }): Change =>
  (facts) => {
    facts.nodePorts = {
      served: [{ service: 'default/web', protocol: 'TCP', family: 4, port: 30_080 }],
      addresses: [{ ip: '192.0.2.11', nodePorts: true }],
      listeners: (o.listeners ?? []).map((listener) => ({ protocol: 'TCP', ...listener })),
      hostPorts: (o.hostPorts ?? []).map((port) => ({ protocol: 'TCP', family: 4, port })),
    };
  };

/** What is changed on a healthy node; the findings that are not ok, as "level id". */
const CASES: [what: string, change: Change | Change[], findings: string[]][] = [
  ['nothing', () => {}, []],
  [
    'an old kernel',
    (f) => {
      f.features.kernel = '5.15.0';
    },
    ['fail kernel'],
  ],
  [
    'a kernel without BTF',
    (f) => {
      f.features.btf = false;
    },
    ['fail kernel'],
  ],
  [
    'no tcx',
    (f) => {
      f.features.tcx = false;
    },
    ['info kernel/tcx'],
  ],
  [
    'no ring buffer',
    (f) => {
      f.features.ringbuf = false;
    },
    ['fail kernel/ringbuf'],
  ],
  [
    'no cgroup links',
    (f) => {
      f.features.cgroupLink = false;
    },
    ['warn kernel/cgroupLink'],
  ],
  [
    'no way to ask nf_conntrack',
    (f) => {
      f.conntrackLookup = false;
    },
    ['warn kernel/conntrackLookup'],
  ],
  [
    'no membarrier',
    (f) => {
      f.features.membarrier = false;
    },
    ['info kernel/membarrier'],
  ],
  [
    'no capabilities',
    (f) => {
      f.missingCapabilities = ['BPF'];
      f.features.permitted = false;
      f.features.ringbuf = false;
    },
    ['fail privilege'],
  ],
  [
    'a seccomp filter',
    (f) => {
      f.features.permitted = false;
    },
    ['fail privilege'],
  ],
  [
    'no bpffs',
    (f) => {
      f.bpffs = { mounted: false, pinPathOnIt: false };
    },
    ['warn bpffs'],
  ],
  [
    'pins elsewhere',
    (f) => {
      f.bpffs = { mounted: true, pinPathOnIt: false };
    },
    ['fail bpffs'],
  ],
  [
    'no cgroup2',
    (f) => {
      f.cgroup = { ...f.cgroup, path: undefined, isCgroup2: false };
    },
    ['warn cgroup'],
  ],
  [
    'a cgroup of version 1',
    (f) => {
      f.cgroup = { ...f.cgroup, isCgroup2: false };
    },
    ['fail cgroup'],
  ],
  [
    "a container's own cgroup",
    (f) => {
      f.cgroup.isRoot = false;
    },
    ['warn cgroup'],
  ],
  [
    'no cgroup2 and no need for it',
    (f) => {
      f.cgroup = { ...f.cgroup, path: undefined, isCgroup2: false };
      f.intent.socketLb = 'off';
    },
    [],
  ],
  ['no forwarding', sysctl('net/ipv4/ip_forward', '0'), ['fail ip_forward/net.ipv4.ip_forward']],
  [
    'no forwarding, and no pods yet',
    [sysctl('net/ipv4/ip_forward', '0'), (f) => void f.devices.splice(1)],
    ['warn ip_forward/net.ipv4.ip_forward', 'info cni'],
  ],
  [
    'no IPv6 forwarding',
    sysctl('net/ipv6/conf/all/forwarding', '0'),
    ['fail ip_forward/net.ipv6.conf.all.forwarding'],
  ],
  [
    'no IPv6 forwarding on a node without IPv6',
    [
      sysctl('net/ipv6/conf/all/forwarding', '0'),
      (f) => {
        f.hasIPv6 = false;
      },
    ],
    [],
  ],
  ['strict rp_filter', sysctl('net/ipv4/conf/all/rp_filter', '1'), ['warn rp_filter']],
  [
    "a device's strict rp_filter that a loose one of all overrules",
    (f) => void f.devices.push(device(9, 'eth1', 'uplink', { rpFilter: 1, kind: 'bond' })),
    [],
  ],
  [
    'ephemeral ports among the SNAT ports',
    sysctl('net/ipv4/ip_local_port_range', '1024 60999'),
    ['fail ports/snat', 'warn ports/node-ports'],
  ],
  [
    'the same, but reserved',
    [
      sysctl('net/ipv4/ip_local_port_range', '1024 60999'),
      sysctl('net/ipv4/ip_local_reserved_ports', '10000-29999,30000-32767'),
    ],
    [],
  ],
  [
    'SNAT ports among the NodePorts',
    (f) => {
      f.intent.snatPortRange = { min: 20_000, max: 31_000 };
    },
    ['fail ports/snat'],
  ],
  ['a program of another at tcx', hook(3, 'tcx ingress', 'other'), ['info hooks/veth1/tcx-ingress']],
  [
    'our own by its link',
    [
      hook(3, 'tcx ingress', 'renamed', 5),
      (f) => {
        f.ownPrograms = [5];
      },
    ],
    [],
  ],
  ['our own by its name, on clsact', hook(3, 'tc egress', 'tc_pod_out'), []],
  ['XDP of another', hook(2, 'xdp native', 'xdp_firewall'), ['warn hooks/eth0/xdp']],
  [
    'XDP of another where we want none',
    [
      hook(2, 'xdp native', 'xdp_firewall'),
      (f) => {
        f.intent.xdp = 'off';
      },
    ],
    ['info hooks/eth0/xdp'],
  ],
  [
    'a driver without XDP',
    (f) => void f.devices.splice(0, 1, device(2, 'eth0', 'uplink', { driver: 'e100', xdpFeatures: 0 })),
    ['info xdp/eth0'],
  ],
  [
    "another's socket hooks",
    (f) => {
      f.cgroup.programs = { connect4: [{ progId: 8, name: 'cil_sock4_conne' }] };
    },
    ['warn hooks/cgroup/connect4'],
  ],
  [
    'a running kube-proxy',
    (f) => {
      f.kubeProxy.proxyMode = 'ipvs';
    },
    ['fail kube-proxy/running'],
  ],
  [
    'a running kube-proxy beside us',
    [
      beside,
      (f) => {
        f.kubeProxy.proxyMode = 'ipvs';
      },
    ],
    ['info kube-proxy/running'],
  ],
  ['no proxy at all beside us', beside, ['info kube-proxy']],
  ['rules left over in iptables', chains(['nat', 'KUBE-SERVICES']), ['warn kube-proxy/rules']],
  ['rules left over in nftables', chains(['kube-proxy', 'services']), ['warn kube-proxy/rules']],
  ["the kubelet's own chains", chains(['filter', 'KUBE-FIREWALL'], ['mangle', 'KUBE-KUBELET-CANARY']), []],
  [
    'IPVS services left over',
    (f) => {
      f.kubeProxy.ipvsServices = 3;
    },
    ['warn kube-proxy/rules'],
  ],
  [
    'the device of IPVS mode left over',
    (f) => void f.links.push(link(9, 'kube-ipvs0', 'dummy')),
    ['warn kube-proxy/ipvs-device'],
  ],
  [
    'legacy tables',
    (f) => {
      f.kubeProxy.legacyTables = ['nat'];
    },
    ['info kube-proxy/legacy'],
  ],
  [
    'rules that cannot be listed',
    (f) => {
      f.kubeProxy = { legacyTables: [], ipvsServices: 0 };
    },
    ['info kube-proxy/rules'],
  ],
  ['Cilium', (f) => void f.links.push(link(9, 'cilium_host', 'veth')), ['warn proxy/cilium']],
  ["Calico's eBPF data path", (f) => void f.links.push(link(9, 'bpfin.cali', 'veth')), ['warn proxy/calico']],
  ['kube-router', (f) => void f.links.push(link(9, 'kube-bridge', 'bridge')), ['warn proxy/kube-router']],
  [
    'a bridge CNI without br_netfilter',
    (f) => {
      f.links.splice(1, 1, link(3, 'veth1', 'veth', 9), link(9, 'cni0', 'bridge'));
      delete f.sysctls['net/bridge/bridge-nf-call-iptables'];
    },
    ['info cni/bridge-nf'],
  ],
  [
    'an overlay with room',
    (f) => {
      f.devices = f.devices.map((d) => ({
        ...d,
        device: { ...d.device, mtu: d.device.class === 'pod' ? 1450 : 1500 },
      }));
      f.devices.push(device(9, 'flannel.1', 'overlay', { mtu: 1450, kind: 'vxlan' }));
    },
    [],
  ],
  [
    'pods larger than the overlay',
    (f) => void f.devices.push(device(9, 'flannel.1', 'overlay', { mtu: 1450, kind: 'vxlan' })),
    ['warn overlay/flannel.1'],
  ],
  [
    'an overlay as large as the uplink',
    (f) => void f.devices.push(device(9, 'flannel.1', 'overlay', { mtu: 1500, kind: 'vxlan' })),
    ['warn overlay/flannel.1'],
  ],
  ['a right that is missing', answer('watch services', 403), ['fail api/watch-services']],
  ['credentials that are wrong', answer('list nodes', 401), ['fail api/list-nodes']],
  ['NodePorts that nobody else wants', wanted({}), []],
  [
    'a process on a NodePort',
    wanted({ listeners: [{ ip: undefined, family: 6, port: 30080 }] }),
    ['warn node-ports/30080-TCP'],
  ],
  [
    'a process on an address without NodePorts',
    wanted({ listeners: [{ ip: '10.9.0.1', family: 4, port: 30080 }] }),
    [],
  ],
  ['a hostPort that is a NodePort', wanted({ hostPorts: [30080] }), ['warn node-ports/30080-TCP']],
  [
    'both',
    wanted({ listeners: [{ ip: undefined, family: 4, port: 30080 }], hostPorts: [30080, 8080] }),
    ['warn node-ports/30080-TCP'],
  ],
  ['an API server without ServiceCIDRs', answer('list servicecidrs', 404), []],
  ['no right to ServiceCIDRs', answer('list servicecidrs', 403), ['info api/list-servicecidrs']],
  [
    'an API server that does not answer',
    (f) => {
      f.api = {
        server: 'https://192.0.2.1:6443',
        throughService: false,
        answers: { 'list services': { error: 'connect ETIMEDOUT' } },
      };
    },
    ['fail api/list-services'],
  ],
  [
    'a broken kubeconfig',
    (f) => {
      f.api = { error: 'read kubeconfig x: no such file' };
    },
    ['fail api'],
  ],
  ['no API server', (f) => void delete f.api, ['info api']],
  [
    'an API server behind a cluster IP',
    (f) => {
      f.api = { server: 'https://10.96.0.1', throughService: true, answers: granted() };
    },
    ['warn api/address'],
  ],
  [
    'an agent that is alive',
    (f) => {
      f.agent = { pinned: true, lastSeenSeconds: 1 };
    },
    [],
  ],
  [
    'an agent that died',
    (f) => {
      f.agent = { pinned: true, lastSeenSeconds: 60 };
    },
    ['warn agent'],
  ],
];

function examined(change: Change | Change[]) {
  const facts = healthy();
  for (const each of [change].flat()) each(facts);
  return diagnose(facts);
}

describe('what doctor finds', () => {
  it.each(CASES)('%s', (_what, change, expected) => {
    const { findings } = examined(change);
    const found = findings.filter(({ level }) => level !== 'ok');
    expect(found.map(({ level, id }) => `${level} ${id}`)).toEqual(expected);
  });

  it.each(CASES)('says what follows, and what to do, for %s', (_what, change) => {
    for (const { level, what, consequence, wayOut } of examined(change).findings) {
      expect(what).not.toBe('');
      if (level === 'ok') continue;
      expect(consequence).not.toBe('');
      if (level !== 'info') expect(wayOut).not.toBe('');
    }
  });

  it('has no id twice', () => {
    for (const [, change] of CASES) {
      const ids = examined(change).findings.map(({ id }) => id);
      expect(ids).toEqual([...new Set(ids)]);
    }
  });
});

describe('what Shunt chooses because of it', () => {
  const choice = (what: string, ...changes: Change[]) =>
    examined(changes).choices.find((each) => each.what === what)?.choice;

  it.each<[string, string, string, Change]>([
    ['tc programs', 'tcx', 'tcx links, first at ingress, last at egress', () => {}],
    [
      'tc programs',
      'no tcx',
      'clsact filters',
      (f) => {
        f.features.tcx = false;
      },
    ],
    ["this node's processes", 'cgroup2', 'socket hooks at /sys/fs/cgroup', () => {}],
    [
      "this node's processes",
      'none',
      'tc only',
      (f) => {
        f.cgroup.isCgroup2 = false;
      },
    ],
    ['eth0', 'a real NIC', 'xdp native if the driver takes it, else tc', () => {}],
    [
      'eth0',
      '--xdp=off',
      'tc',
      (f) => {
        f.intent.xdp = 'off';
      },
    ],
    [
      'Services',
      'beside kube-proxy',
      'those labelled service.kubernetes.io/service-proxy-name: shunt',
      beside,
    ],
  ])('%s with %s: %s', (what, _because, expected, change) => {
    expect(choice(what, change)).toBe(expected);
  });
});

describe('shunt doctor', () => {
  const doctor = (change: Change | Change[], ...args: string[]) =>
    run(['doctor', ...args], { examine: async () => examined(change) });

  it('ends with 0 when all is well', async () => {
    const { code, out } = await doctor(() => {});
    expect(code).toBe(0);
    expect(out).toMatch(/^\d+ in order, 0 to know, 0 to look at, 0 to mend$/m);
  });

  it('ends with 0 for warnings, and shows what follows and what to do', async () => {
    const { code, out } = await doctor(sysctl('net/ipv4/conf/all/rp_filter', '1'));
    expect(code).toBe(0);
    expect(out).toMatch(
      /^WARN {2}rp_filter: rp_filter is 1 \(strict\) on eth0, veth1, veth2\n {6}so: {2}.+\n {6}do: {2}sysctl/m,
    );
  });

  it('ends with 1 when something must be mended, worst first', async () => {
    const { code, out } = await doctor([
      sysctl('net/ipv4/conf/all/rp_filter', '1'),
      sysctl('net/ipv4/ip_forward', '0'),
    ]);
    expect(code).toBe(1);
    expect(out.split('\n')[0]).toMatch(/^FAIL {2}ip_forward/);
  });

  it('gives scripts the whole report', async () => {
    const { code, out } = await doctor(sysctl('net/ipv4/ip_forward', '0'), '-o', 'json');
    expect(code).toBe(1);
    const report = JSON.parse(out);
    expect(Object.keys(report)).toEqual(['level', 'findings', 'choices']);
    for (const finding of report.findings) {
      expect(Object.keys(finding)).toEqual(['id', 'level', 'what', 'consequence', 'wayOut']);
    }
  });

  it('passes its flags on', async () => {
    let asked: unknown;
    await run(['doctor', '--replace-kube-proxy', '--snat-port-range', '5000-6000', '--kubeconfig', '/k'], {
      examine: async (options) => {
        asked = options;
        return diagnose(healthy());
      },
    });
    expect(asked).toMatchObject({
      intent: { replaceKubeProxy: true, snatPortRange: { min: 5000, max: 6000 }, xdp: 'auto' },
      kubeconfig: '/k',
    });
  });

  it('refuses a range that is none', async () => {
    const { code, err } = await run(['doctor', '--snat-port-range', 'many']);
    expect(code).toBe(2);
    expect(err).toContain('not a port range');
  });
});
