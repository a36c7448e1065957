import { writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import {
  FLAG_GROUPS,
  type FlagGroup,
  KUBE_PROXY_FLAGS,
  type KubeProxyFlag,
} from '../../agent/config/flags.js';
import type { GivenFlags } from '../../agent/config/given-flags.js';
import type { KubeProxySettings } from '../../agent/config/resolve.js';
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
import { EXIT_OK, UsageError } from '../errors.js';
import { cleanUp } from './cleanup.js';

/** What commander makes of Shunt's own flags; texts are not checked yet. Those of kube-proxy: `givenFlags`. */
interface AgentFlags {
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

export function addAgentCommand(
  program: Command,
  environment: CliEnvironment,
  setExitCode: (code: number) => void,
): void {
  const command = program
    .command('agent')
    .description('serve the Services of a cluster, or of a directory of manifests, on this node');
  addFlags(command, FLAG_GROUPS.configuration);
  addFlags(command, FLAG_GROUPS.objects)
    .option('--context <name>', 'a context of the kubeconfig (default: its current one)')
    .option(
      '--manifests <directory>',
      'take objects from the YAML and JSON files of a directory, and watch it',
    );
  addFlags(command, FLAG_GROUPS.services)
    .option(
      '--replace-kube-proxy [bool]',
      'serve all Services, not only those labelled service-proxy-name: shunt',
    )
    .option('--service-cidrs <list>', 'CIDRs of cluster IPs: unknown addresses in them are dropped')
    .option('--service-node-port-range <range>', "the cluster's NodePorts (default: 30000-32767)")
    .addOption(
      choice('--external-source <how>', 'source that backends see (default: preserve)', [
        'preserve',
        'masquerade',
      ]),
    )
    .addOption(
      choice('--default-algorithm <name>', 'how backends are chosen (default: random)', ['random', 'maglev']),
    );
  addFlags(command, FLAG_GROUPS.endpoints)
    .option('--metrics-services <n>', 'service ports with metrics of their own (default: 500)')
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
  addDatapathFlags(command);
  addFlags(command, FLAG_GROUPS.accepted);
  command.action(async (flags: AgentFlags) => {
    setExitCode(await run(flags, environment, program.version() ?? ''));
  });
}

/** kube-proxy's flags under a heading; what is added next stands there too. */
function addFlags(command: Command, { heading, flags }: FlagGroup): Command {
  command.optionsGroup(heading);
  for (const flag of flags) command.addOption(optionOf(flag));
  return command;
}

function optionOf({ name, short, kind, help }: KubeProxyFlag): Option {
  const argument = kind === 'bool' || name === 'version' ? `[${kind}]` : `<${kind}>`;
  const option = new Option(`${short ? `-${short}, ` : ''}--${name} ${argument}`, help);
  // Lists may be given in several flags, as everywhere in Kubernetes.
  if (kind !== 'list' && kind !== 'gates') return option;
  return option.argParser((text: string, before: string | undefined) =>
    before === undefined ? text : `${before},${text}`,
  );
}

/** kube-proxy's flags that were typed. */
function givenFlags(flags: object): GivenFlags {
  const values = flags as Record<string, string | true | undefined>;
  const given = new Map<string, string | true>();
  for (const { name, short } of KUBE_PROXY_FLAGS) {
    const value = values[name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
    // "-v=4" is "-v" with the value "=4" to commander.
    if (value !== undefined) {
      given.set(name, short && typeof value === 'string' ? value.replace(/^=/, '') : value);
    }
  }
  return given;
}

function addDatapathFlags(command: Command): void {
  command
    .optionsGroup('Data path:')
    .option('--pin-path <path>', 'where to pin maps and links, on a BPF file system', DEFAULT_PIN_PATH)
    .option('--cgroup <path>', 'cgroup2 directory for the socket hooks (default: the mounted one)')
    .addOption(choice('--xdp <mode>', 'XDP on uplinks', ['auto', 'off', 'force']).default('auto'))
    .option(
      '--snat-port-range <range>',
      'source ports for flows that leave the node again (default: 10000-29999)',
    )
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
    .option('--hairpin-address <ip>', 'source of a pod that reaches itself (default: 169.254.42.1)')
    .option('--hairpin-address6 <ip>', 'the same for IPv6')
    .option(
      '--takeover-window <seconds>',
      'hand up unknown TCP untranslated for so long after the first start',
    )
    .option('--event-sample <n>', 'report one new flow in n to the ring buffer (default: 0, none)')
    .optionsGroup('Devices (* and ?; the first list that matches wins over what is found):')
    .option('--pod-devices <patterns>', 'devices that lead to pods')
    .option('--uplink-devices <patterns>', 'devices that lead out of the node')
    .option('--overlay-devices <patterns>', 'tunnel devices')
    .option('--ignore-devices <patterns>', 'devices to leave alone')
    .optionsGroup('Table sizes:');
  for (const flag of Object.values(SIZE_FLAGS)) {
    command.option(`${flag} <n>`, 'entries of that table, those already pinned included');
  }
}

async function run(flags: AgentFlags, environment: CliEnvironment, version: string): Promise<number> {
  const given = givenFlags(flags);
  // Loaded when needed: other commands do without the schema.
  const { boolFlag, resolveKubeProxyFlags } = await import('../../agent/config/resolve.js');
  if (given.has('version')) {
    environment.stdout.write(`Shunt ${version}\n`);
    return EXIT_OK;
  }
  const settings = resolveKubeProxyFlags(given, parseBool('--replace-kube-proxy', flags.replaceKubeProxy));
  const target = given.get('write-config-to');
  if (typeof target === 'string') {
    const { stringify } = await import('yaml');
    writeFileSync(target, stringify(settings.configuration));
    return EXIT_OK;
  }
  if (boolFlag(given, 'cleanup')) return cleanUp(flags.pinPath, environment);
  if (boolFlag(given, 'init-only')) {
    environment.stderr.write('shunt: use --init-only: nothing to prepare. start the agent without it\n');
    return EXIT_OK;
  }
  return environment.runAgent(agentOptions(flags, given, settings, environment));
}

function parseBool(flag: string, text: string | true | undefined): boolean | undefined {
  if (text === undefined || text === true) return text;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new OptionsError(flag, `use ${flag} '${text}': neither true nor false`);
}

function choice(flags: string, description: string, values: string[]): Option {
  return new Option(flags, description).choices(values);
}

/** @throws UsageError or OptionsError for the first flag that is wrong. */
function agentOptions(
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
