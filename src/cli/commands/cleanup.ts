import type { Command } from 'commander';
import { DEFAULT_PIN_PATH } from '../../agent/options.js';
import type { CliEnvironment } from '../environment.js';
import { EXIT_FAILURE, EXIT_OK } from '../errors.js';

export function addCleanupCommand(
  program: Command,
  environment: CliEnvironment,
  setExitCode: (code: number) => void,
): void {
  program
    .command('cleanup')
    .description('detach every program and remove every pin; stop the agent first')
    .option('--pin-path <path>', 'where the agent pins its maps', DEFAULT_PIN_PATH)
    .action(async ({ pinPath }: { pinPath: string }) => setExitCode(await cleanUp(pinPath, environment)));
}

/** @returns the exit code. */
export async function cleanUp(pinPath: string, environment: CliEnvironment): Promise<number> {
  const report = await environment.cleanUp({ pinPath });
  for (const text of report.removed) environment.stdout.write(`removed ${text}\n`);
  if (report.removed.length === 0 && report.problems.length === 0) {
    environment.stdout.write(`nothing to remove at ${pinPath}\n`);
  }
  for (const problem of report.problems) environment.stderr.write(`shunt: ${problem}\n`);
  return report.problems.length > 0 ? EXIT_FAILURE : EXIT_OK;
}
