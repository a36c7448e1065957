import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/native/index.js';

const SOURCES = join(packageRoot(), 'test', 'native', 'bpf');
const OUT = join(packageRoot(), 'build', 'test', 'native');

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Compiles `test/native/bpf/<name>.bpf.c`, with an optional variant by macro, and returns the object's path. */
export function testObject(name: string, define?: string): string {
  mkdirSync(OUT, { recursive: true });
  const source = join(SOURCES, `${name}.bpf.c`);
  const out = join(OUT, `${name}${define ? `-${define.toLowerCase()}` : ''}.bpf.o`);
  if (modified(out) > Math.max(modified(source), modified(join(SOURCES, 'sample.h')))) return out;
  const machine = execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim();
  // Test files run side by side: each compiles to its own file and renames.
  const temporary = `${out}.${process.pid}`;
  execFileSync(
    'clang-14',
    [
      ...['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-std=gnu11', '-Wall', '-Wextra', '-Werror'],
      ...['-Wno-unused-parameter', `-I/usr/include/${machine}-linux-gnu`],
      ...(define ? [`-D${define}`] : []),
      ...['-c', source, '-o', temporary],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  renameSync(temporary, out);
  return out;
}

/**
 * Compiles the library and the cases to JavaScript, for child processes and worker threads that cannot read
 * TypeScript, and returns the directory of the compiled cases.
 */
export function compiledCases(): string {
  const out = join(OUT, `js-${process.pid}`);
  execFileSync(
    process.execPath,
    [
      join(packageRoot(), 'node_modules', 'typescript', 'bin', 'tsc'),
      ...['-p', join(packageRoot(), 'test', 'native', 'tsconfig.cases.json'), '--outDir', out],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  return join(out, 'test', 'native', 'cases');
}
