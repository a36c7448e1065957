import { type Command, Option } from 'commander';
import {
  type AgentOptions,
  type AgentOptionsInput,
  completeAgentOptions,
  DEFAULT_PIN_PATH,
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

/** What commander makes of the flags; texts are not checked yet. */
interface AgentFlags {
  kubeconfig?: string;
  context?: string;
  manifests?: string;
  hostnameOverride?: string;
  pinPath: string;
  cgroup?: string;
  replaceKubeProxy?: true;
  xdp: XdpMode;
  snatPortRange?: string;
  serviceNodePortRange?: string;
  nodeportAddresses?: string;
  clusterCidr?: string;
  serviceCidrs?: string;
  externalSource?: AgentOptions['externalSource'];
  masqueradeAll?: true;
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
  healthzBindAddress?: string;
  metricsBindAddress?: string;
  bindAddressHardFail?: true;
  logLevel?: LogLevel;
  statusFile?: string;
  /** --max-services and so on, see SIZE_FLAGS. */
  [table: `max${string}`]: string | undefined;
}

export function addAgentCommand(
  program: Command,
  environment: CliEnvironment,
  setExitCode: (code: number) => void,
): void {
  const command = program
    .command('agent')
    .description('serve the Services of a cluster, or of a directory of manifests, on this node')
    .option('--kubeconfig <file>', 'take objects from the API server that this kubeconfig names')
    .option('--context <name>', 'a context of the kubeconfig (default: its current one)')
    .option(
      '--manifests <directory>',
      'take objects from the YAML and JSON files of a directory, and watch it',
    )
    .option('--hostname-override <node>', 'name of this Node (default: the host name)')
    .option('--pin-path <path>', 'where to pin maps and links, on a BPF file system', DEFAULT_PIN_PATH)
    .option('--cgroup <path>', 'cgroup2 directory for the socket hooks (default: the mounted one)')
    .option('--replace-kube-proxy', 'serve all Services, not only those labelled service-proxy-name: shunt')
    .addOption(choice('--xdp <mode>', 'XDP on uplinks', ['auto', 'off', 'force']).default('auto'))
    .option(
      '--snat-port-range <range>',
      'source ports for flows that leave the node again (default: 10000-29999)',
    )
    .option('--service-node-port-range <range>', "the cluster's NodePorts (default: 30000-32767)")
    .option('--nodeport-addresses <list>', 'CIDRs, or primary (default: every address of the node)')
    .option('--cluster-cidr <list>', 'CIDRs of the pods of the whole cluster')
    .option('--service-cidrs <list>', 'CIDRs of cluster IPs: unknown addresses in them are dropped')
    .addOption(
      choice('--external-source <how>', 'source that backends see (default: preserve)', [
        'preserve',
        'masquerade',
      ]),
    )
    .option('--masquerade-all', 'masquerade all traffic to cluster IPs')
    .addOption(
      choice('--socket-lb <who>', 'translate at connect() (default: on, processes of this node)', [
        'on',
        'off',
        'all',
      ]),
    )
    .option('--socket-lb-udp-connect', 'translate connected UDP sockets at connect() too')
    .addOption(
      choice('--host-routing <how>', 'to backends on other nodes (default: past)', ['past', 'stack']),
    )
    .addOption(
      choice('--default-algorithm <name>', 'how backends are chosen (default: random)', ['random', 'maglev']),
    )
    .option('--pod-devices <patterns>', 'devices that lead to pods, whatever they look like (* and ?)')
    .option('--uplink-devices <patterns>', 'devices that lead out of the node')
    .option('--overlay-devices <patterns>', 'tunnel devices')
    .option('--ignore-devices <patterns>', 'devices to leave alone')
    .option('--hairpin-address <ip>', 'source of a pod that reaches itself (default: 169.254.42.1)')
    .option('--hairpin-address6 <ip>', 'the same for IPv6')
    .option(
      '--takeover-window <seconds>',
      'hand up unknown TCP untranslated for so long after the first start',
    )
    .option('--event-sample <n>', 'report one new flow in n to the ring buffer (default: 0, none)')
    .option('--healthz-bind-address <address>', 'where /healthz and /livez answer; empty: nowhere')
    .option('--metrics-bind-address <address>', 'where /metrics, /proxyMode and /configz answer')
    .option('--bind-address-hard-fail', 'do not start when one of these addresses cannot be had')
    .addOption(
      choice('--log-level <level>', 'least severe line to log (default: info)', [
        'fatal',
        'error',
        'warn',
        'info',
        'debug',
        'trace',
      ]),
    )
    .option('--status-file <file>', 'write counters and devices there as JSON');
  for (const flag of Object.values(SIZE_FLAGS)) {
    command.option(`${flag} <n>`, 'entries of that table, those already pinned included');
  }
  command.action(async (flags: AgentFlags) => {
    setExitCode(await environment.runAgent(agentOptions(flags, environment)));
  });
}

function choice(flags: string, description: string, values: string[]): Option {
  return new Option(flags, description).choices(values);
}

/** @throws UsageError or OptionsError for the first flag that is wrong. */
export function agentOptions(
  flags: AgentFlags,
  host: Pick<CliEnvironment, 'env' | 'hostname'>,
): AgentOptions {
  // Required: an option without a flag must not compile.
  const input: Required<AgentOptionsInput> = {
    source: sourceOf(flags, host.env),
    // As kubelet and kube-proxy do: a node's name is lower case.
    nodeName: (flags.hostnameOverride ?? host.hostname()).trim().toLowerCase(),
    pinPath: flags.pinPath,
    cgroupPath: flags.cgroup,
    replaceKubeProxy: flags.replaceKubeProxy,
    xdp: flags.xdp,
    snatPortRange: portRange('--snat-port-range', flags.snatPortRange),
    nodePortRange: portRange('--service-node-port-range', flags.serviceNodePortRange),
    nodePortAddresses: list(flags.nodeportAddresses),
    clusterCIDRs: list(flags.clusterCidr),
    serviceCIDRs: list(flags.serviceCidrs),
    externalSource: flags.externalSource,
    masqueradeAll: flags.masqueradeAll,
    socketLb: flags.socketLb,
    socketLbUdpConnect: flags.socketLbUdpConnect,
    hostRouting: flags.hostRouting,
    defaultAlgorithm: flags.defaultAlgorithm,
    devices: {
      pod: list(flags.podDevices) ?? [],
      uplink: list(flags.uplinkDevices) ?? [],
      overlay: list(flags.overlayDevices) ?? [],
      ignore: list(flags.ignoreDevices) ?? [],
    },
    hairpinAddress4: flags.hairpinAddress,
    hairpinAddress6: flags.hairpinAddress6,
    takeoverWindowS: number('--takeover-window', flags.takeoverWindow),
    eventSample: number('--event-sample', flags.eventSample),
    sizes: sizesOf(flags),
    healthzBindAddress: flags.healthzBindAddress,
    metricsBindAddress: flags.metricsBindAddress,
    bindAddressHardFail: flags.bindAddressHardFail,
    proxyMode: undefined,
    configz: undefined,
    healthStaleS: undefined,
    metricsServices: undefined,
    logLevel: flags.logLevel,
    statusFile: flags.statusFile,
  };
  return completeAgentOptions(input);
}

function sourceOf(flags: AgentFlags, env: CliEnvironment['env']): SourceOptions {
  const { kubeconfig, manifests, context } = flags;
  if (kubeconfig !== undefined && manifests !== undefined) {
    throw new UsageError('choose source: both --kubeconfig and --manifests are given. leave one out');
  }
  if (context !== undefined && kubeconfig === undefined) {
    throw new UsageError('use --context: it needs --kubeconfig. name the file that has the context');
  }
  if (manifests !== undefined) return { kind: 'manifests', directory: manifests };
  if (kubeconfig !== undefined) {
    return { kind: 'kubeconfig', path: kubeconfig, ...(context !== undefined && { context }) };
  }
  if (env.KUBERNETES_SERVICE_HOST) return { kind: 'in-cluster' };
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
