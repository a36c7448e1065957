import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

let found: { root: string; name: string } | undefined;

// This file runs from src/ (tests, tsx) and from dist/src/ (the built program): the package is the first
// directory upwards whose package.json has a name.
function findPackage(): { root: string; name: string } {
  if (found) return found;
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    try {
      const { name } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')) as { name?: string };
      if (name) {
        found = { root: at, name };
        return found;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (at === dirname(at)) throw new Error(`find package root above ${import.meta.url}: no package.json`);
  }
}

/** Absolute path of the directory with this package's package.json. */
export function packageRoot(): string {
  return findPackage().root;
}

/** Absolute path of a built BPF object; by default the one named like the package. */
export function bpfObjectPath(name: string = findPackage().name): string {
  return join(packageRoot(), 'build', 'bpf', `${name}.bpf.o`);
}

/** Absolute path of the built addon. */
export function addonPath(): string {
  return join(packageRoot(), 'build', 'native', 'Release', 'shunt_native.node');
}
