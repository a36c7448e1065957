import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bpfObjectPath, packageRoot, verifierSummary } from '../../src/native/index.js';

const root = packageRoot();

test('binding.gyp is an adapter: no sources of its own, its action is the one build', () => {
  const text = readFileSync(join(root, 'binding.gyp'), 'utf8')
    .replace(/^\s*#.*$/gm, '')
    .replaceAll("'", '"')
    .replace(/,(\s*[}\]])/g, '$1')
    .replaceAll('<(module_root_dir)', root);
  const [target] = JSON.parse(text).targets;
  expect(target.type).toBe('none');
  expect(target.sources).toBeUndefined();
  const [command, ...args] = target.actions[0].action as [string, ...string[]];
  const output = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  expect(output).toContain('cmake-js compile');
});

test('every source file is in the one list', () => {
  const list = readFileSync(join(root, 'native', 'CMakeLists.txt'), 'utf8');
  for (const file of readdirSync(join(root, 'native')).filter((name) => name.endsWith('.cc'))) {
    expect(list).toContain(` ${file}`);
  }
});

test('cmake-js is told not to download Node headers', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(manifest.binary.napi_versions).toEqual([8]);
});

test('finds the package from its own files', () => {
  expect(bpfObjectPath()).toBe(
    join(root, 'build', 'bpf', `${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).name}.bpf.o`),
  );
  expect(bpfObjectPath('other')).toBe(join(root, 'build', 'bpf', 'other.bpf.o'));
});

test('a verifier log is cut to the lines that say why', () => {
  const log = [
    ...Array.from({ length: 10 }, (_, i) => `${i}: (bf) r${i} = r1`),
    'R1 invalid mem access',
    'processed 11 insns (limit 1000000)',
    '',
  ].join('\n');
  expect(verifierSummary(log)).toBe(
    '    7: (bf) r7 = r1\n    8: (bf) r8 = r1\n    9: (bf) r9 = r1\n    R1 invalid mem access\n    (8 lines omitted)',
  );
  expect(verifierSummary('only this\n')).toBe('    only this');
});
