/** Starts the packet bench in network and mount namespaces of its own. */
import { spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PacketResult } from './bench.js';
import { OUTER_NETNS } from './network.js';
import type { WorkerRequest } from './worker.js';

/**
 * Runs cases on one CPU. `onRound` gets lines of progress.
 * @throws Error with the worker's complaint when a case takes another way than it claims, or nothing can be loaded.
 */
export function runPacketBench(
  request: WorkerRequest,
  cpu: string,
  onRound: (line: string) => void,
): Promise<PacketResult[]> {
  const worker = fileURLToPath(new URL('./worker.js', import.meta.url));
  const isolate = ['--net', '--mount', '--propagation', 'private'];
  const argv = [...isolate, 'taskset', '-c', cpu, process.execPath, worker, JSON.stringify(request)];
  return new Promise((resolve, reject) => {
    const child = spawn('unshare', argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, [OUTER_NETNS]: readlinkSync('/proc/self/ns/net') },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      for (const line of text.trim().split('\n')) if (/^round \d+ of \d+$/.test(line)) onRound(line);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(stdout) as PacketResult[]);
      else reject(new Error(`run packet bench: it ended with ${signal ?? code}. ${stderr.slice(-2000)}`));
    });
  });
}
