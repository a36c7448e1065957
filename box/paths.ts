/** Where things are, whether this runs from box/ (vitest) or dist/box/ (built). */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const RUN_DIRECTORY = '/run/shunt-box';

export function repositoryRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error('find the repository root: no package.json above (ENOENT).');
    directory = parent;
  }
  return directory;
}

export type Tool = 'podserver' | 'netclient' | 'loadgen' | 'xdppass' | 'sniff' | 'tunnel' | 'puppet';

/** Absolute path of a built traffic tool. */
export function toolPath(tool: Tool): string {
  const path = join(repositoryRoot(), 'build', 'box', tool);
  if (!existsSync(path)) {
    throw new Error(
      `run ${tool}: ${path} is not built (ENOENT). Run: cmake -S box/tools -B build/box && cmake --build build/box`,
    );
  }
  return path;
}
