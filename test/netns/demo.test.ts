import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../../box/index.js';

/** Namespaces of the box that this output is about; other boxes may be up meanwhile. */
function namespacesOf(output: string): string[] {
  const id = /^Box (\w+) is up/m.exec(output)?.[1];
  if (id === undefined) throw new Error(`find the name of the box in the output: ${output}`);
  return existsSync('/run/netns')
    ? readdirSync('/run/netns').filter((name) => name.startsWith(`sb${id}-`))
    : [];
}

/** Runs the built demo without a terminal; `signalAt` sends SIGINT when its output contains that. */
async function demo(signalAt?: string): Promise<{ code: number | null; output: string; left: string[] }> {
  const child = spawn(process.execPath, [join(repositoryRoot(), 'dist/scripts/demo.js')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      const seen = signalAt !== undefined && output.includes(signalAt);
      output += text;
      if (!seen && signalAt !== undefined && output.includes(signalAt)) child.kill('SIGINT');
    });
  }
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, output, left: namespacesOf(output) };
}

describe('npm run demo', () => {
  it('visits every Service of the examples, ends by itself and leaves nothing', async () => {
    const { code, output, left } = await demo();
    expect(output).toMatch(/\n(\d+) of \1 visits went as the Services say\.\n/);
    expect(output).not.toMatch(/^!/m);
    for (const service of [
      'abcdocker/mallh5-service',
      'default/coffee',
      'default/sticky',
      'kube-system/kube-dns',
    ]) {
      expect(output).toContain(`\n${service}`);
    }
    expect(output).toMatch(/Taken down; nothing is left behind\.\n$/);
    expect(left).toEqual([]);
    expect(code).toBe(0);
  });

  it('interrupted in the middle, it leaves nothing either', async () => {
    const { code, left } = await demo('from outside');
    expect(left).toEqual([]);
    expect(code).toBe(130);
  });
});
