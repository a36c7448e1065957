import { type Command, Option } from 'commander';
import { DEFAULT_PIN_PATH, parsePortRange, type XdpMode } from '../../agent/options.js';
import type { Report } from '../../doctor/index.js';
import type { CliEnvironment } from '../environment.js';
import { EXIT_FAILURE } from '../errors.js';
import { renderData } from '../output/format.js';
import { renderTable } from '../output/table.js';

interface DoctorFlags {
  output: 'table' | 'wide' | 'json' | 'yaml';
  pinPath: string;
  cgroup?: string;
  kubeconfig?: string;
  context?: string;
  replaceKubeProxy?: true;
  xdp: XdpMode;
  socketLb: 'on' | 'off' | 'all';
  snatPortRange: string;
  serviceNodePortRange: string;
}

export function addDoctorCommand(
  program: Command,
  environment: CliEnvironment,
  setExitCode: (code: number) => void,
): void {
  program
    .command('doctor')
    .description(
      'what this node can do, what is in the way, what follows; exit code 1 when something must be mended',
    )
    .addOption(
      new Option('-o, --output <format>', 'how to print; wide: what is in order too')
        .choices(['table', 'wide', 'json', 'yaml'])
        .default('table'),
    )
    .option('--pin-path <path>', 'where the agent pins its maps', DEFAULT_PIN_PATH)
    .option('--cgroup <path>', 'cgroup2 directory for the socket hooks (default: the mounted one)')
    .option('--kubeconfig <file>', 'ask this API server (default: that of the pod)')
    .option('--context <name>', 'a context of the kubeconfig')
    .option('--replace-kube-proxy', 'judge for an agent that replaces kube-proxy')
    .addOption(
      new Option('--xdp <mode>', 'as the agent has it').choices(['auto', 'off', 'force']).default('auto'),
    )
    .addOption(
      new Option('--socket-lb <who>', 'as the agent has it').choices(['on', 'off', 'all']).default('on'),
    )
    .option('--snat-port-range <range>', 'as the agent has it', '10000-29999')
    .option('--service-node-port-range <range>', 'as the agent has it', '30000-32767')
    .action(async (flags: DoctorFlags) => {
      const report = await environment.examine({
        intent: {
          pinPath: flags.pinPath,
          cgroupPath: flags.cgroup,
          replaceKubeProxy: flags.replaceKubeProxy === true,
          xdp: flags.xdp,
          socketLb: flags.socketLb,
          snatPortRange: parsePortRange('--snat-port-range', flags.snatPortRange),
          nodePortRange: parsePortRange('--service-node-port-range', flags.serviceNodePortRange),
        },
        kubeconfig: flags.kubeconfig,
        context: flags.context,
      });
      const { output } = flags;
      environment.stdout.write(
        output === 'json' || output === 'yaml'
          ? renderData(output, report)
          : reportText(report, output === 'wide'),
      );
      if (report.level === 'fail') setExitCode(EXIT_FAILURE);
    });
}

/** Worst first; consequence and way out on lines of their own, because they are sentences. */
export function reportText({ findings, choices }: Report, wide: boolean): string {
  const order = ['fail', 'warn', 'info', 'ok'];
  const sorted = [...findings].sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  const good = findings.filter(({ level }) => level === 'ok').length;
  const lines = sorted
    .filter(({ level }) => wide || level !== 'ok')
    .flatMap(({ level, id, what, consequence, wayOut }) => [
      `${level.toUpperCase().padEnd(5)} ${id}: ${what}`,
      ...(consequence === '' ? [] : [`      so:  ${consequence}`]),
      ...(wayOut === '' ? [] : [`      do:  ${wayOut}`]),
    ]);
  const count = (level: string) => findings.filter((finding) => finding.level === level).length;
  return [
    ...lines,
    ...(lines.length > 0 ? [''] : []),
    `${good} in order, ${count('info')} to know, ${count('warn')} to look at, ${count('fail')} to mend`,
    '',
    renderTable(
      [
        { head: 'WHAT', cell: (c) => c.what },
        { head: 'SHUNT CHOOSES', cell: (c) => c.choice },
        { head: 'BECAUSE', cell: (c) => c.because },
      ],
      choices,
      wide,
    ),
  ].join('\n');
}
