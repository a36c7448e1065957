import type { Device, LinkFacts } from '../agent/devices.js';
import type { Listener } from '../agent/node-ports/listeners.js';
import type { NodePort } from '../agent/node-ports/taken.js';
import type { PortRange, XdpMode } from '../agent/options.js';
import type { Features, NftChain } from '../native/index.js';

/** What the agent would be, or was, told. */
export interface Intent {
  pinPath: string;
  cgroupPath: string | undefined;
  replaceKubeProxy: boolean;
  xdp: XdpMode;
  socketLb: 'on' | 'off' | 'all';
  snatPortRange: PortRange;
  nodePortRange: PortRange;
}

export interface HookProgram {
  progId: number;
  /** undefined: the kernel tells names of programs only to CAP_SYS_ADMIN. */
  name?: string;
}

/** One hook of one device, in the order of running. */
export interface DeviceHookFacts {
  hook:
    | 'tcx ingress'
    | 'tcx egress'
    | 'tc ingress'
    | 'tc egress'
    | 'xdp native'
    | 'xdp generic'
    | 'xdp hardware';
  /** BPF programs; other filters (u32, flower, ...) have a name and no progId. */
  programs: (HookProgram | { progId?: undefined; name: string })[];
}

export interface DeviceFacts {
  device: Device;
  /** Name of the kernel driver behind a real NIC. */
  driver?: string;
  /** NETDEV_XDP_ACT_* bits; undefined: the kernel does not tell. */
  xdpFeatures?: number;
  hooks: DeviceHookFacts[];
  /** conf.<device>.rp_filter, before conf.all is taken into account. */
  rpFilter?: number;
}

export interface CgroupFacts {
  path: string | undefined;
  /** A directory of a cgroup2 hierarchy. */
  isCgroup2: boolean;
  /** The hierarchy's root: it alone has no cgroup.type. */
  isRoot: boolean;
  /** By attach type name, of this very cgroup. */
  programs: Record<string, HookProgram[]>;
}

export interface ApiFacts {
  server: string;
  /** By "list services" and so on. */
  answers: Record<string, { status: number; detail: string } | { error: string }>;
  /** The server's address is one that a Service has. */
  throughService: boolean;
}

/** A port of the node that rules lead to a pod. */
export interface HostPortFacts {
  protocol: 'TCP' | 'UDP' | 'SCTP';
  family: 4 | 6;
  port: number;
}

/** Everything that is looked at, as plain data. */
export interface Facts {
  intent: Intent;
  features: Features;
  /** Programs can ask nf_conntrack. */
  conntrackLookup: boolean;
  /** Without root in the initial user namespace, or in a container: which of the needed capabilities are missing. */
  missingCapabilities: string[];
  bpffs: { mounted: boolean; pinPathOnIt: boolean };
  cgroup: CgroupFacts;
  /** Trimmed content by name below /proc/sys; absent: no such file. */
  sysctls: Record<string, string>;
  hasIPv6: boolean;
  /** Every link of the network namespace, also those that no device class takes. */
  links: LinkFacts[];
  devices: DeviceFacts[];
  /** Ids of the programs behind Shunt's own pinned links. */
  ownPrograms: number[];
  agent: { pinned: boolean; lastSeenSeconds?: number };
  kubeProxy: {
    /** Answer of 127.0.0.1:10249/proxyMode, if it is not Shunt's. */
    proxyMode?: string;
    /** KUBE-* chains by `<family> <table>`; undefined: they could not be listed. */
    chains?: NftChain[];
    /** Tables of iptables-legacy that exist. */
    legacyTables: string[];
    ipvsServices: number;
  };
  /** NodePorts in the maps, and what else wants their numbers. */
  nodePorts: {
    served: NodePort[];
    listeners: Listener[];
    hostPorts: HostPortFacts[];
    addresses: { ip: string; nodePorts: boolean }[];
  };
  /** undefined: no kubeconfig, not in a pod. */
  api?: ApiFacts | { error: string };
}
