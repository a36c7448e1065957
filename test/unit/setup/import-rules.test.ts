import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../../..');

const ROOM_RULE = 'lint/style/noRestrictedImports';

/** File, its content, and the rule that must reject it (undefined: accepted). */
const CASES: [string, string, string, string | undefined][] = [
  ['model may not know Kubernetes', 'src/model/a.ts', use('../kube/x.js'), ROOM_RULE],
  ['nor from a folder of its own', 'src/model/deep/a.ts', use('../../kube/x.js'), ROOM_RULE],
  ['model does no I/O', 'src/model/b.ts', use('node:fs/promises'), ROOM_RULE],
  ['types count as imports', 'src/abi/a.ts', "export type { x } from '../native/x.js';\n", ROOM_RULE],
  ['plan does no I/O', 'src/plan/a.ts', use('node:fs'), ROOM_RULE],
  ['plan may use model', 'src/plan/b.ts', use('../model/x.js'), undefined],
  ['plan never writes maps', 'src/plan/c.ts', use('../datapath/x.js'), ROOM_RULE],
  ['kube may use model', 'src/kube/a.ts', use('../model/x.js'), undefined],
  ['kube never touches BPF', 'src/kube/b.ts', use('../native/x.js'), ROOM_RULE],
  ['native has no load-balancer words', 'src/native/a.ts', use('../abi/x.js'), ROOM_RULE],
  ['datapath never calls back up', 'src/datapath/a.ts', use('../agent/x.js'), ROOM_RULE],
  ['agent may use all below it', 'src/agent/a.ts', use('../datapath/x.js'), undefined],
  ['agent does not know the CLI', 'src/agent/b.ts', use('../cli/x.js'), ROOM_RULE],
  ['agent does not know the doctor', 'src/agent/e.ts', use('../doctor/x.js'), ROOM_RULE],
  ['doctor may use the agent', 'src/doctor/a.ts', use('../agent/x.js'), undefined],
  ['doctor never asks the API server itself', 'src/doctor/b.ts', use('../kube/x.js'), ROOM_RULE],
  ['production code does not import the box', 'src/agent/c.ts', use('../../box/x.js'), ROOM_RULE],
  ['cli may use the agent', 'src/cli/commands/a.ts', use('../../agent/x.js'), undefined],
  ['two files may not import each other', 'src/cli/b.ts', use('./c.js'), 'lint/suspicious/noImportCycles'],
  ['the other of the two', 'src/cli/c.ts', use('./b.js'), 'lint/suspicious/noImportCycles'],
  [
    'a promise may not float',
    'src/cli/d.ts',
    'const work = async () => 1;\nwork();\nexport {};\n',
    'lint/nursery/noFloatingPromises',
  ],
];

function use(specifier: string): string {
  return `import { x } from '${specifier}';\nexport const y = x;\n`;
}

describe('import rules of the rooms', () => {
  let folder: string;
  const found = new Map<string, string[]>();

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shunt-lint-'));
    for (const name of ['biome.json', 'package.json', '.gitignore']) {
      copyFileSync(join(ROOT, name), join(folder, name));
    }
    for (const [, path, content] of CASES) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    const { stdout, stderr } = spawnSync(
      join(ROOT, 'node_modules/.bin/biome'),
      ['lint', '--reporter=json', 'src'],
      { cwd: folder, encoding: 'utf8' },
    );
    const report = JSON.parse(stdout || stderr) as {
      diagnostics: { category: string; location: { path: string } }[];
    };
    for (const { category, location } of report.diagnostics) {
      found.set(location.path, [...(found.get(location.path) ?? []), category]);
    }
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(CASES)('%s (%s)', (_sentence, path, _content, rule) => {
    expect(found.get(path) ?? []).toEqual(rule === undefined ? [] : [rule]);
  });
});
