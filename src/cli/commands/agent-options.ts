import type { GivenFlags } from '../../agent/config/given-flags.js';
import type { KubeProxySettings } from '../../agent/config/resolve.js';
import {
  type AgentOptions,
  type AgentOptionsInput,
  completeAgentOptions,
  type LogLevel,
  OptionsError,
  parseList,
  parsePortRange,
  SIZE_FLAGS,
  type SourceOptions,
  type TableSizes,
  type XdpMode,
} from '../../agent/options.js';
import type { CliEnvironment } from '../environment.js';
import { UsageError } from '../errors.js';

/** What commander makes of Shunt's own flags; texts are not checked yet. Those of kube-proxy: `givenFlags`. */
export interface AgentFlags {
  context?: string;
  manifests?: string;
  pinPath: string;
  cgroup?: string;
  replaceKubeProxy?: string | true;
  metricsServices?: string;
  xdp: XdpMode;
  snatPortRange?: string;
  serviceNodePortRange?: string;
  serviceCidrs?: string;
  externalIpCidrs?: string;
  sourceRangesOnNodePorts?: string | true;
  externalSource?: AgentOptions['externalSource'];
  socketLb?: AgentOptions['socketLb'];
  socketLbUdpConnect?: true;
  hostRouting?: AgentOptions['hostRouting'];
  defaultAlgorithm?: AgentOptions['defaultAlgorithm'];
  podDevices?: string;
  uplinkDevices?: string;
  overlayDevices?: string;
  ignoreDevices?: string;
  hairpinAddress?: string;
  hairpinAddress6?: string;
  takeoverWindow?: string;
  eventSample?: string;
  logLevel?: LogLevel;
  statusFile?: string;
  /** --max-services and so on, see SIZE_FLAGS. */
  [table: `max${string}`]: string | undefined;
}

/** @throws OptionsError. */
export function parseBool(flag: string, text: string | true | undefined): boolean | undefined {
  if (text === undefined || text === true) return text;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new OptionsError(flag, `use ${flag} '${text}': neither true nor false`);
}

/** @throws UsageError or OptionsError for the first flag that is wrong. */
export function agentOptions(
  flags: AgentFlags,
  given: GivenFlags,
  settings: KubeProxySettings,
  host: Pick<CliEnvironment, 'env' | 'hostname'>,
): AgentOptions {
  // Required: an option without a flag must not compile.
  const input: Required<AgentOptionsInput> = {
    source: sourceOf(flags, given, settings, host.env),
    // As kubelet and kube-proxy do: a node's name is lower case.
    nodeName: (settings.nodeName ?? host.hostname()).trim().toLowerCase(),
    pinPath: flags.pinPath,
    cgroupPath: flags.cgroup,
    replaceKubeProxy: settings.replaceKubeProxy,
    xdp: flags.xdp,
    snatPortRange: portRange('--snat-port-range', flags.snatPortRange),
    nodePortRange: portRange('--service-node-port-range', flags.serviceNodePortRange),
    nodePortAddresses: settings.nodePortAddresses,
    clusterCIDRs: settings.clusterCIDRs,
    serviceCIDRs: list(flags.serviceCidrs),
    externalIpCIDRs: list(flags.externalIpCidrs),
    sourceRangesOnNodePorts: parseBool('--source-ranges-on-node-ports', flags.sourceRangesOnNodePorts),
    externalSource: flags.externalSource,
    masqueradeAll: settings.masqueradeAll,
    socketLb: flags.socketLb,
    socketLbUdpConnect: flags.socketLbUdpConnect,
    hostRouting: flags.hostRouting,
    defaultAlgorithm: flags.defaultAlgorithm,
    devices: {
      pod: [...(list(flags.podDevices) ?? []), ...settings.podDevices],
      uplink: list(flags.uplinkDevices) ?? [],
      overlay: list(flags.overlayDevices) ?? [],
      ignore: list(flags.ignoreDevices) ?? [],
    },
    hairpinAddress4: flags.hairpinAddress,
    hairpinAddress6: flags.hairpinAddress6,
    takeoverWindowS: number('--takeover-window', flags.takeoverWindow),
    eventSample: number('--event-sample', flags.eventSample),
    sizes: sizesOf(flags),
    healthzBindAddress: settings.healthzBindAddress,
    metricsBindAddress: settings.metricsBindAddress,
    bindAddressHardFail: settings.bindAddressHardFail,
    proxyMode: settings.proxyMode,
    configz: settings.configuration,
    healthStaleS: settings.healthStaleS,
    metricsServices: number('--metrics-services', flags.metricsServices),
    oomScoreAdj: settings.oomScoreAdj,
    flowTimeouts: settings.flowTimeouts,
    warnings: settings.warnings,
    logLevel: flags.logLevel ?? settings.logLevel,
    statusFile: flags.statusFile,
  };
  return completeAgentOptions(input);
}

function sourceOf(
  flags: AgentFlags,
  given: GivenFlags,
  settings: KubeProxySettings,
  env: CliEnvironment['env'],
): SourceOptions {
  const { manifests, context } = flags;
  const { kubeconfig } = settings;
  const server = given.get('master');
  const master = typeof server === 'string' && server !== '' ? { server } : {};
  if (given.get('kubeconfig') !== undefined && manifests !== undefined) {
    throw new UsageError('choose source: both --kubeconfig and --manifests are given. leave one out');
  }
  if (master.server !== undefined && manifests !== undefined) {
    throw new UsageError('choose source: both --master and --manifests are given. leave one out');
  }
  if (context !== undefined && kubeconfig === undefined) {
    throw new UsageError('use --context: it needs --kubeconfig. name the file that has the context');
  }
  if (manifests !== undefined) return { kind: 'manifests', directory: manifests };
  if (kubeconfig !== undefined) {
    return { kind: 'kubeconfig', path: kubeconfig, ...(context !== undefined && { context }), ...master };
  }
  if (env.KUBERNETES_SERVICE_HOST) return { kind: 'in-cluster', ...master };
  if (master.server !== undefined) return { kind: 'server', server: master.server };
  throw new UsageError(
    'choose source: not in a pod, and neither --kubeconfig nor --manifests is given. pass one of them',
  );
}

function list(text: string | undefined): string[] | undefined {
  return text === undefined ? undefined : parseList(text);
}

function portRange(flag: string, text: string | undefined) {
  return text === undefined ? undefined : parsePortRange(flag, text);
}

function sizesOf(flags: AgentFlags): TableSizes {
  const sizes: TableSizes = {};
  for (const [table, flag] of Object.entries(SIZE_FLAGS) as [keyof TableSizes, string][]) {
    const size = number(flag, flags[`max${table.charAt(0).toUpperCase()}${table.slice(1)}`]);
    if (size !== undefined) sizes[table] = size;
  }
  return sizes;
}

function number(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isNaN(value)) throw new OptionsError(flag, `use ${flag} '${text}': not a number`);
  return value;
}
