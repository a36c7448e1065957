/** Runs the box's own set-up commands, outside of its cgroups. */
import { spawn } from 'node:child_process';

/** Runs a program with text on stdin; throws with its complaint and the input line that it names. */
export function run(program: string, argv: string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('error', (error: NodeJS.ErrnoException) => {
      reject(
        new Error(
          `run ${program}: ${error.message} (${error.code}). Is it installed? npm run setup does it.`,
        ),
      );
    });
    child.on('close', (code) => {
      if (code === 0) {
        resolve(stdout);
        return;
      }
      const number = /-:(\d+)/.exec(stderr)?.[1];
      const line = number ? ` At: ${input.split('\n')[Number(number) - 1]}` : '';
      reject(new Error(`run ${program} ${argv.join(' ')}: ${stderr.trim()} (exit code ${code}).${line}`));
    });
  });
}

/** A shell script in a network namespace. */
export function runInNamespace(namespace: string, script: string): Promise<string> {
  return run('nsenter', [`--net=/run/netns/${namespace}`, '--', 'sh', '-eu'], script);
}

/** `ip -batch` in a network namespace. */
export async function ipBatch(namespace: string, lines: string[]): Promise<void> {
  if (lines.length > 0) await run('ip', ['-n', namespace, '-batch', '-'], `${lines.join('\n')}\n`);
}
