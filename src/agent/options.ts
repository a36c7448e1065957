import {
  checkApart,
  checkBindAddress,
  checkCidr,
  checkNumber,
  checkRange,
  checkSourceAddress,
  checkWhole,
  OptionsError,
  oneOf,
} from './option-checks.js';

export { OptionsError } from './option-checks.js';

/** Where Services, EndpointSlices and Nodes come from. */
export type SourceOptions =
  | { kind: 'kubeconfig'; path: string; context?: string; server?: string }
  | { kind: 'in-cluster'; server?: string }
  /** No credentials. */
  | { kind: 'server'; server: string }
  | { kind: 'manifests'; directory: string };

/** Ports in host order, both ends inclusive. */
export interface PortRange {
  min: number;
  max: number;
}

/** Entries of the tables that may be made larger than their defaults. */
export interface TableSizes {
  services?: number;
  backends?: number;
  slots?: number;
  frontends?: number;
  addresses?: number;
  sourceRanges?: number;
  localities?: number;
  flows?: number;
}

/** Flag of each table, for messages and the command line. */
export const SIZE_FLAGS: Record<keyof TableSizes, string> = {
  services: '--max-services',
  backends: '--max-backends',
  slots: '--max-slots',
  frontends: '--max-frontends',
  addresses: '--max-addresses',
  sourceRanges: '--max-source-ranges',
  localities: '--max-localities',
  flows: '--max-flows',
};

/** Device names as shell patterns (`*`, `?`); the first list that matches wins over the rules of devices.ts. */
export interface DevicePatterns {
  ignore: string[];
  pod: string[];
  uplink: string[];
  overlay: string[];
}

export type XdpMode = 'auto' | 'off' | 'force';
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';

export interface AgentOptions {
  source: SourceOptions;
  nodeName: string;
  pinPath: string;
  /** Mount point or directory of a cgroup2 hierarchy; undefined: found in /proc/self/mounts. */
  cgroupPath: string | undefined;
  /** Serve every Service that kube-proxy would, not only those labelled for Shunt. */
  replaceKubeProxy: boolean;
  xdp: XdpMode;
  snatPortRange: PortRange;
  nodePortRange: PortRange;
  /** CIDRs and `primary`; empty: every address of the node. */
  nodePortAddresses: string[];
  /** Pod addresses of the whole cluster; pod devices are pods' without it. */
  clusterCIDRs: string[];
  /** Cluster-IP ranges, besides those of ServiceCIDRs: unknown addresses are dropped; manifests get cluster IPs from them. */
  serviceCIDRs: string[];
  /** Where spec.externalIPs may lie; empty: nowhere; undefined: anywhere outside of the cluster. */
  externalIpCIDRs: string[] | undefined;
  /** loadBalancerSourceRanges guard the NodePorts of the Service too. */
  sourceRangesOnNodePorts: boolean;
  externalSource: 'preserve' | 'masquerade';
  masqueradeAll: boolean;
  /** off: no socket hooks; on: this node's processes; all: pods' sockets too. */
  socketLb: 'on' | 'off' | 'all';
  socketLbUdpConnect: boolean;
  hostRouting: 'past' | 'stack';
  defaultAlgorithm: 'random' | 'maglev';
  devices: DevicePatterns;
  hairpinAddress4: string;
  hairpinAddress6: string;
  /** Seconds after the first start in which TCP that Shunt does not know is handed up untranslated. */
  takeoverWindowS: number;
  /** One new-flow event in N goes to the ring buffer; 0: none. */
  eventSample: number;
  /** Tables of another size than the default. */
  sizes: TableSizes;
  /** Where /healthz and /livez answer; '': nowhere. */
  healthzBindAddress: string;
  /** Where /metrics, /proxyMode and /configz answer; '': nowhere. */
  metricsBindAddress: string;
  /** What /proxyMode answers: tools know kube-proxy's modes and no others. */
  proxyMode: 'iptables' | 'ipvs' | 'nftables';
  /** What /configz answers. */
  configz: unknown;
  /** Not to start when one of these two addresses cannot be had. */
  bindAddressHardFail: boolean;
  /** A change that waits for longer makes /healthz and the health checks answer 503. */
  healthStaleS: number;
  /** oom_score_adj of this process; undefined: left alone. */
  oomScoreAdj: number | undefined;
  /** Idle times after which TCP flows are forgotten, where they differ from the data path's. */
  flowTimeouts: { establishedS?: number; halfClosedS?: number };
  /** Said once the log is open: options that have no effect. */
  warnings: string[];
  /** Services that get metrics of their own, those with traffic first. */
  metricsServices: number;
  logLevel: LogLevel;
  /** JSON of counters and devices, replaced when something changed, at most once a second. */
  statusFile: string | undefined;
}

export const DEFAULT_PIN_PATH = '/sys/fs/bpf/shunt';

const MAX_TABLE = 1 << 26;

/** kube-proxy's ports, for whoever replaces it, and others for whoever runs beside it. */
export const KUBE_PROXY_PORTS = { healthz: 10256, metrics: 10249 };
export const SIDE_BY_SIDE_PORTS = { healthz: 10276, metrics: 10269 };

const DEFAULTS: Omit<AgentOptions, 'source' | 'nodeName'> = {
  pinPath: DEFAULT_PIN_PATH,
  cgroupPath: undefined,
  replaceKubeProxy: false,
  xdp: 'auto',
  snatPortRange: { min: 10_000, max: 29_999 },
  nodePortRange: { min: 30_000, max: 32_767 },
  nodePortAddresses: [],
  clusterCIDRs: [],
  serviceCIDRs: [],
  externalIpCIDRs: undefined,
  sourceRangesOnNodePorts: false,
  externalSource: 'preserve',
  masqueradeAll: false,
  socketLb: 'on',
  socketLbUdpConnect: false,
  hostRouting: 'past',
  defaultAlgorithm: 'random',
  devices: { ignore: [], pod: [], uplink: [], overlay: [] },
  hairpinAddress4: '169.254.42.1',
  hairpinAddress6: 'fd00:5408:1::1',
  takeoverWindowS: 0,
  eventSample: 0,
  sizes: {},
  healthzBindAddress: `0.0.0.0:${SIDE_BY_SIDE_PORTS.healthz}`,
  metricsBindAddress: `127.0.0.1:${SIDE_BY_SIDE_PORTS.metrics}`,
  proxyMode: 'iptables',
  configz: {},
  bindAddressHardFail: false,
  healthStaleS: 60,
  oomScoreAdj: undefined,
  flowTimeouts: {},
  warnings: [],
  metricsServices: 500,
  logLevel: 'info',
  statusFile: undefined,
};

/** Undefined values mean "not given"; `devices` may be given in part. */
export type AgentOptionsInput = {
  [K in keyof Omit<AgentOptions, 'source' | 'nodeName' | 'devices'>]?: AgentOptions[K] | undefined;
} & { source: SourceOptions; nodeName: string; devices?: Partial<DevicePatterns> | undefined };

/**
 * Fills in defaults and checks everything that can be checked without looking at the machine.
 * @throws OptionsError for the first option that is wrong.
 */
export function completeAgentOptions(input: AgentOptionsInput): AgentOptions {
  const given = Object.fromEntries(
    Object.entries(input).filter(([key, value]) => value !== undefined && key !== 'devices'),
  ) as Partial<AgentOptions>;
  const options: AgentOptions = {
    ...DEFAULTS,
    ...(input.replaceKubeProxy === true && {
      healthzBindAddress: `0.0.0.0:${KUBE_PROXY_PORTS.healthz}`,
      metricsBindAddress: `127.0.0.1:${KUBE_PROXY_PORTS.metrics}`,
    }),
    source: input.source,
    nodeName: input.nodeName,
    ...given,
    devices: { ...DEFAULTS.devices, ...input.devices },
  };
  checkOptions(options);
  return options;
}

function checkOptions(o: AgentOptions): void {
  // A node is an RFC 1123 subdomain; kubelet lower-cases the host name, so does kube-proxy.
  if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(o.nodeName)) {
    throw new OptionsError(
      '--hostname-override',
      `use node name '${o.nodeName}': not a valid node name. pass --hostname-override with the name that 'kubectl get nodes' shows`,
    );
  }
  oneOf('--xdp', o.xdp, ['auto', 'off', 'force']);
  oneOf('--external-source', o.externalSource, ['preserve', 'masquerade']);
  oneOf('--socket-lb', o.socketLb, ['on', 'off', 'all']);
  oneOf('--host-routing', o.hostRouting, ['past', 'stack']);
  oneOf('--default-algorithm', o.defaultAlgorithm, ['random', 'maglev']);
  oneOf('--log-level', o.logLevel, ['fatal', 'error', 'warn', 'info', 'debug', 'trace']);
  checkRange('--snat-port-range', o.snatPortRange, 1);
  checkRange('--service-node-port-range', o.nodePortRange, 1);
  if (o.snatPortRange.max - o.snatPortRange.min < 99) {
    throw new OptionsError(
      '--snat-port-range',
      'use --snat-port-range: it holds fewer than 100 ports. widen it',
    );
  }
  for (const entry of o.nodePortAddresses) {
    if (entry !== 'primary') checkCidr('--nodeport-addresses', entry);
  }
  if (o.nodePortAddresses.includes('primary') && o.nodePortAddresses.length > 1) {
    throw new OptionsError(
      '--nodeport-addresses',
      "use --nodeport-addresses: 'primary' cannot be combined with CIDRs. give one or the other",
    );
  }
  for (const cidr of o.clusterCIDRs) checkCidr('--cluster-cidr', cidr);
  for (const cidr of o.serviceCIDRs) checkCidr('--service-cidrs', cidr);
  for (const cidr of o.externalIpCIDRs ?? []) checkCidr('--external-ip-cidrs', cidr);
  checkSourceAddress('--hairpin-address', o.hairpinAddress4, 4);
  checkSourceAddress('--hairpin-address6', o.hairpinAddress6, 6);
  checkNumber('--takeover-window', o.takeoverWindowS, 86_400, 'seconds');
  checkWhole('--event-sample', o.eventSample, 0xffff_ffff);
  for (const [table, flag] of Object.entries(SIZE_FLAGS) as [keyof TableSizes, string][]) {
    const size = o.sizes[table];
    if (size !== undefined && !(Number.isInteger(size) && size >= 2 && size <= MAX_TABLE)) {
      throw new OptionsError(flag, `use ${flag} ${size}: not a number of entries from 2 to ${MAX_TABLE}`);
    }
  }
  for (const [flag, path] of [
    ['--pin-path', o.pinPath],
    ['--cgroup', o.cgroupPath],
  ] as const) {
    if (path !== undefined && !path.startsWith('/')) {
      throw new OptionsError(flag, `use ${flag} '${path}': not an absolute path`);
    }
  }
  const ports = o.replaceKubeProxy ? KUBE_PROXY_PORTS : SIDE_BY_SIDE_PORTS;
  checkBindAddress('--healthz-bind-address', o.healthzBindAddress, ports.healthz);
  checkBindAddress('--metrics-bind-address', o.metricsBindAddress, ports.metrics);
  checkApart(o.healthzBindAddress, o.metricsBindAddress, ports);
  checkWhole('--metrics-services', o.metricsServices, 1_000_000);
  if (o.source.kind === 'kubeconfig' && o.source.path === '') {
    throw new OptionsError('--kubeconfig', 'use --kubeconfig: the path is empty');
  }
  if (o.source.kind === 'manifests' && o.source.directory === '') {
    throw new OptionsError('--manifests', 'use --manifests: the path is empty');
  }
}

/** "10000-29999" or "10000". @throws OptionsError naming `flag`. */
export function parsePortRange(flag: string, text: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text.trim());
  if (!match)
    throw new OptionsError(flag, `use ${flag} '${text}': not a port range. write it like 10000-29999`);
  const min = Number(match[1]);
  const max = match[2] === undefined ? min : Number(match[2]);
  const range = { min, max };
  checkRange(flag, range, 1);
  return range;
}

/** Comma-separated values, white space and empty entries dropped. */
export function parseList(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
