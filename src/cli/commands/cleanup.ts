import type { Command } from 'commander';
import { DEFAULT_PIN_PATH } from '../../agent/options.js';
import type { CliEnvironment } from '../environment.js';
import { EXIT_FAILURE } from '../errors.js';

export function addCleanupCommand(
  program: Command,
  environment: CliEnvironment,
  setExitCode: (code: number) => void,
): void {
  program
    .command('cleanup')
    .description('detach every program and remove every pin; stop the agent first')
    .option('--pin-path <path>', 'where the agent pins its maps', DEFAULT_PIN_PATH)
    .action(async (options: { pinPath: string }) => {
      const report = await environment.cleanUp({ pinPath: options.pinPath });
      for (const text of report.removed) environment.stdout.write(`removed ${text}\n`);
      if (report.removed.length === 0 && report.problems.length === 0) {
        environment.stdout.write(`nothing to remove at ${options.pinPath}\n`);
      }
      for (const problem of report.problems) environment.stderr.write(`shunt: ${problem}\n`);
      if (report.problems.length > 0) setExitCode(EXIT_FAILURE);
    });
}
