import { type Command, Option } from 'commander';
import { DEFAULT_PIN_PATH } from '../../agent/options.js';
import {
  type DoOptions,
  finishTakeover,
  giveBack,
  onlyShunts,
  type Plan,
  planDo,
  planUndo,
  type Survey,
  survey,
  takeOver,
  totalOf,
} from '../../takeover/index.js';
import type { CliEnvironment, TakeoverParts } from '../environment.js';
import { EXIT_FAILURE, UsageError } from '../errors.js';
import { type Format, renderData } from '../output/format.js';
import { planText, type TakeoverReport, viewTakeover } from '../views/takeover.js';

/** Nothing was changed: something has to be settled first. */
export const EXIT_REFUSED = 3;
/** Done, but connections are left after --wait. */
export const EXIT_WAITING = 4;

interface Options {
  check?: boolean;
  do?: boolean;
  undo?: boolean;
  output: Format;
  pinPath: string;
  acceptForward?: boolean;
  acceptMissing?: boolean;
  clusterCidr?: string;
  watch: string;
  wait: string;
  force?: boolean;
}

type SetExitCode = (code: number) => void;

export function addTakeoverCommand(
  program: Command,
  environment: CliEnvironment,
  setExitCode: SetExitCode,
): void {
  program
    .command('takeover')
    .description("take kube-proxy's Services over without losing a connection, or give them back")
    .option('--check', 'show what --do would do, and change nothing (default)')
    .option(
      '--do',
      "leave kube-proxy's connections to nf_conntrack, remove its rules, report when the last is gone",
    )
    .option('--undo', "begin no flow any more, let Shunt's own finish, then detach; kube-proxy must run")
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices(['table', 'json', 'yaml']).default('table'),
    )
    .option('--pin-path <path>', 'where the agent pins its maps', DEFAULT_PIN_PATH)
    .option('--accept-forward', 'add an accept rule of our own where chain FORWARD would drop traffic')
    .option('--cluster-cidr <cidrs>', "addresses of all pods, for --accept-forward's connections that begin")
    .option('--accept-missing', 'go on although one side serves Service ports that the other does not')
    .option('--watch <seconds>', 'how long rules that come back are watched for after --do', '35')
    .option('--wait <seconds>', 'how long to wait for the last connection', '60')
    .option('--force', '--undo: detach although connections are left')
    .addHelpText(
      'after',
      '\nexit codes: 0 done, or nothing stands against --do; 1 failed; 2 wrong command line; 3 refused, nothing was changed; 4 done, and connections are left',
    )
    .action(async (options: Options) => {
      const modes = [options.check, options.do, options.undo].filter(Boolean).length;
      if (modes > 1)
        throw new UsageError('use takeover: --check, --do and --undo exclude each other. choose one');
      const parts = await environment.openTakeover(options.pinPath);
      const run = options.do ? runDo : options.undo ? runUndo : runCheck;
      await run(new Run(environment, parts, options, setExitCode));
    });
}

/** One call of the command: what was seen, and how it is told. */
class Run {
  readonly doOptions: DoOptions;
  readonly watchSeconds: number;
  readonly waitSeconds: number;
  #said: string[] = [];

  constructor(
    private readonly environment: CliEnvironment,
    readonly parts: TakeoverParts,
    readonly options: Options,
    readonly setExitCode: SetExitCode,
  ) {
    this.watchSeconds = seconds('--watch', options.watch);
    this.waitSeconds = seconds('--wait', options.wait);
    this.doOptions = {
      acceptForward: options.acceptForward === true,
      acceptMissing: options.acceptMissing === true,
      clusterCidrs: (options.clusterCidr ?? '').split(',').filter((cidr) => cidr !== ''),
    };
  }

  survey(): Promise<Survey> {
    return survey(this.parts.machine, this.parts.control);
  }

  /** Told while it happens, or with the report for machines. */
  readonly say = (text: string): void => {
    this.#said.push(text);
    if (this.options.output === 'table') this.environment.stdout.write(`${text}\n`);
  };

  report(s: Survey, plan: Plan, more: Partial<TakeoverReport> = {}): void {
    const { output } = this.options;
    if (output === 'json' || output === 'yaml') {
      const report = {
        ...viewTakeover(s, plan),
        ...(this.#said.length > 0 && { done: this.#said }),
        ...more,
      };
      this.environment.stdout.write(renderData(output, report));
    } else if (this.#said.length === 0) {
      this.environment.stdout.write(planText(s, plan));
    }
  }

  complain(text: string): void {
    this.environment.stderr.write(`shunt: ${text}\n`);
  }
}

async function runCheck(run: Run): Promise<void> {
  const s = await run.survey();
  const plan = planDo(s, run.doOptions);
  run.report(s, plan);
  if (plan.verdict === 'refused') run.setExitCode(EXIT_REFUSED);
}

async function runDo(run: Run): Promise<void> {
  const { machine, control } = run.parts;
  const s = await run.survey();
  const plan = planDo(s, run.doOptions);
  if (plan.verdict === 'refused') {
    run.report(s, plan);
    run.setExitCode(EXIT_REFUSED);
    return;
  }
  if (plan.verdict === 'nothing') {
    // What an earlier run left for connections that are gone by now.
    if (s.shunt && (s.shunt.takingOver || s.nft.keeping.length > 0))
      await finishTakeover(machine, control, run.say);
    if (s.shunt?.draining) await control.setDrain(false);
    run.report(s, plan);
    return;
  }
  const { watchSeconds, waitSeconds } = run;
  const result = await takeOver(
    machine,
    control,
    s,
    { ...run.doOptions, watchSeconds, waitSeconds },
    run.say,
  );
  for (const line of result.changed) run.complain(`compare rules: not as before: ${line}`);
  const left = result.oldFlows ? totalOf(result.oldFlows) : undefined;
  run.report(s, plan, {
    cameBack: result.cameBack,
    changed: result.changed,
    oldFlows: result.oldFlows ?? null,
  });
  if (result.cameBack) {
    run.complain(
      "remove kube-proxy's rules: they came back, so it runs (EBUSY). end it and run 'shunt takeover --do' again. Shunt serves meanwhile",
    );
    run.setExitCode(EXIT_FAILURE);
  } else if (left !== 0) {
    const count = left === undefined ? 'an unknown number of' : String(left);
    run.complain(
      `${count} old connections are left. run 'shunt takeover --do' again later: it tells when the last is gone`,
    );
    run.setExitCode(EXIT_WAITING);
  }
}

async function runUndo(run: Run): Promise<void> {
  const { machine, control } = run.parts;
  const s = await run.survey();
  const plan = planUndo(s, run.doOptions);
  const force = run.options.force === true;
  if (plan.verdict === 'nothing') {
    run.say(`nothing of Shunt's is pinned at ${run.options.pinPath}`);
    run.report(s, plan);
    return;
  }
  const missing = onlyShunts(s);
  if (plan.verdict === 'refused' && !force) {
    run.report(s, plan, { missing });
    run.setExitCode(EXIT_REFUSED);
    return;
  }
  const { waitSeconds } = run;
  const result = await giveBack(machine, control, s, { waitSeconds, force }, run.say);
  run.report(s, plan, { missing, detached: result.detached, flows: result.flows });
  for (const problem of result.problems) run.complain(problem);
  if (result.problems.length > 0) run.setExitCode(EXIT_FAILURE);
  if (result.detached) return;
  run.complain(result.next ?? 'nothing was detached');
  run.setExitCode(EXIT_WAITING);
}

function seconds(flag: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < 0)
    throw new UsageError(`use ${flag} '${text}': not a number of seconds from 0 on`);
  return value;
}
