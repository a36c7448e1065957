// Writes src/abi/generated.ts from the built BPF object. With --check: only says whether it is current.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readAbi } from '../src/abi/maps.js';
import { renderGenerated } from '../src/abi/render.js';

const root = packageDirectory(import.meta.dirname);
const objectPath = join(root, 'build/bpf/shunt.bpf.o');
const target = join(root, 'src/abi/generated.ts');

const text = renderGenerated(readAbi(readFileSync(objectPath)));
let current = '';
try {
  current = readFileSync(target, 'utf8');
} catch {
  // The first run has nothing to compare with.
}
if (process.argv.includes('--check')) {
  if (current !== text) {
    console.error(
      'check src/abi/generated.ts: it differs from the BPF object. Run `npm run gen` and commit.',
    );
    process.exitCode = 1;
  }
} else if (current !== text) {
  writeFileSync(target, text);
  console.log('wrote src/abi/generated.ts');
} else console.log('src/abi/generated.ts is current');

/** This file runs from scripts/ and, compiled, from dist/scripts/. */
function packageDirectory(from: string): string {
  for (let at = from; ; at = dirname(at)) {
    try {
      if (JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')).name === 'shunt') return at;
    } catch {
      if (dirname(at) === at) throw new Error('find the package: no package.json above the script (ENOENT).');
    }
  }
}
