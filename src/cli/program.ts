import { Command, CommanderError } from 'commander';
import { addAffinitiesCommand } from './commands/affinities.js';
import { addAgentCommand } from './commands/agent.js';
import { addBackendsCommand } from './commands/backends.js';
import { addCleanupCommand } from './commands/cleanup.js';
import { addDoctorCommand } from './commands/doctor.js';
import { addFlowsCommand } from './commands/flows.js';
import { addMapsCommand } from './commands/maps.js';
import { addServicesCommand } from './commands/services.js';
import { addStatusCommand } from './commands/status.js';
import { addTakeoverCommand } from './commands/takeover.js';
import type { CliEnvironment } from './environment.js';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE, errorText, UsageError } from './errors.js';

/**
 * Runs one command line.
 * @param args without node and script.
 * @returns the exit code: 0 done, 1 failed, 2 wrong command line.
 */
export async function runCli(args: string[], environment: CliEnvironment, version: string): Promise<number> {
  let exitCode = EXIT_OK;
  const program = createProgram(environment, version, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args.map(withHyphens), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has written its message already; help and version are no errors.
      return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    }
    environment.stderr.write(`${errorText(error, program.opts<{ verbose?: boolean }>().verbose === true)}\n`);
    return isUsage(error) ? EXIT_USAGE : EXIT_FAILURE;
  }
}

/** As everywhere in Kubernetes: --log_dir is --log-dir. */
function withHyphens(argument: string): string {
  return argument.replace(/^--[^=]*/, (flag) => flag.replaceAll('_', '-'));
}

function createProgram(
  environment: CliEnvironment,
  version: string,
  setExitCode: (code: number) => void,
): Command {
  const program = new Command('shunt')
    .description('An eBPF service load balancer for Kubernetes: the node agent, and a look into its maps')
    .version(version)
    .option('--verbose', 'print stack traces with errors')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => environment.stdout.write(text),
      writeErr: (text) => environment.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'shunt: ')),
    })
    .showHelpAfterError('run it with --help to see what it takes')
    .helpCommand('help [command]', 'print the help of a command');
  addServicesCommand(program, environment);
  addBackendsCommand(program, environment);
  addFlowsCommand(program, environment);
  addAffinitiesCommand(program, environment);
  addMapsCommand(program, environment);
  addStatusCommand(program, environment);
  addAgentCommand(program, environment, setExitCode);
  addTakeoverCommand(program, environment, setExitCode);
  addCleanupCommand(program, environment, setExitCode);
  addDoctorCommand(program, environment, setExitCode);
  return program;
}

/** OptionsError is the agent's word for the same thing. */
function isUsage(error: unknown): boolean {
  return error instanceof UsageError || (error instanceof Error && error.name === 'OptionsError');
}
