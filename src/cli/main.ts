import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../native/paths.js';
import { EXIT_FAILURE, errorText } from './errors.js';
import { runCli } from './program.js';

// `shunt flows | head` closes our stdout: nobody is left to read the rest.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : EXIT_FAILURE);
});
process.on('uncaughtException', (error) => {
  process.stderr.write(`${errorText(error, process.argv.includes('--verbose'))}\n`);
  process.exit(EXIT_FAILURE);
});

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
  version: string;
};

process.exitCode = await runCli(
  process.argv.slice(2),
  {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    hostname,
    // Loaded when needed: a command that reads maps does without the Kubernetes client, help without both.
    openLive: async (pinPath) => (await import('./live.js')).openLive(pinPath),
    runAgent: async (options) => (await import('../agent/main.js')).runAgent(options),
    openTakeover: async (pinPath) => (await import('./takeover.js')).openTakeover(pinPath),
    cleanUp: async (options) => (await import('./live.js')).cleanUp(options),
    examine: async (options) => (await import('./doctor.js')).examine(options),
  },
  version,
);
