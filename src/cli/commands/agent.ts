import { writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import {
  FLAG_GROUPS,
  type FlagGroup,
  KUBE_PROXY_FLAGS,
  type KubeProxyFlag,
} from '../../agent/config/flags.js';
import type { GivenFlags } from '../../agent/config/given-flags.js';
import { DEFAULT_PIN_PATH, SIZE_FLAGS } from '../../agent/options.js';
import type { CliEnvironment } from '../environment.js';
import { CliError, EXIT_OK } from '../errors.js';
import { type AgentFlags, agentOptions, parseBool } from './agent-options.js';
import { cleanUp } from './cleanup.js';

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
    .option(
      '--service-cidrs <list>',
      'CIDRs of cluster IPs besides those of ServiceCIDRs: unknown addresses in them are dropped',
    )
    .option(
      '--external-ip-cidrs <list>',
      'CIDRs that spec.externalIPs may lie in; empty: none (default: all outside of the cluster)',
    )
    .option('--source-ranges-on-node-ports [bool]', 'loadBalancerSourceRanges guard NodePorts too')
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
      'hand up TCP that is not known untranslated for so long after the first start, for connections that nf_conntrack cannot tell of (ipvs; see doctor)',
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
    writeConfiguration(target, stringify(settings.configuration));
    return EXIT_OK;
  }
  if (boolFlag(given, 'cleanup')) return cleanUp(flags.pinPath, environment);
  if (boolFlag(given, 'init-only')) {
    environment.stderr.write('shunt: use --init-only: nothing to prepare. start the agent without it\n');
    return EXIT_OK;
  }
  return environment.runAgent(agentOptions(flags, given, settings, environment));
}

/** @throws CliError that names the file. */
function writeConfiguration(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    const cause =
      code === 'ENOENT' ? 'no such directory' : code === 'EISDIR' ? 'is a directory' : 'not writable';
    throw new CliError(`write configuration to ${path}: ${cause} (${code}). correct --write-config-to`);
  }
}

function choice(flags: string, description: string, values: string[]): Option {
  return new Option(flags, description).choices(values);
}
