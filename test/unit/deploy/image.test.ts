import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './render.js';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** Instructions of the Dockerfile, continued lines joined, by stage. */
function stages(): string[][] {
  const lines = read('Dockerfile')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const found: string[][] = [];
  for (const line of lines) {
    if (line.startsWith('FROM ')) found.push([]);
    found.at(-1)?.push(line.replaceAll(/\s+/g, ' '));
  }
  return found;
}

describe('the Dockerfile', () => {
  const [build = [], runtime = []] = stages();

  it('has a build stage and a slim runtime stage', () => {
    expect(stages()).toHaveLength(2);
    expect(build[0]).toBe('FROM node:20-bookworm AS build');
    expect(runtime[0]).toBe('FROM node:20-bookworm-slim');
  });

  it('builds nothing of ours as root', () => {
    const user = build.indexOf('USER node');
    const asRoot = build.slice(0, user).filter((line) => line.startsWith('RUN '));
    expect(asRoot.join('\n')).not.toMatch(/npm|scripts\//);
    expect(build.slice(user).filter((line) => line.startsWith('RUN '))).toEqual([
      'RUN npm ci --include=dev --ignore-scripts --no-audit --no-fund',
      'RUN npm run build:bpf && npm run build:native && npm run build:ts',
      'RUN bash scripts/image-content.sh /src/image',
    ]);
  });

  it('installs what set-up needs to build the programs and the addon', () => {
    const table = /^PACKAGES='\n(.*?)^'/ms.exec(read('scripts/setup.sh'))?.[1] ?? '';
    const known = new Set(table.split('\n').map((line) => line.split(/\s+/)[0]));
    const install = build.find((line) => line.includes('apt-get install')) ?? '';
    const packages = /--no-install-recommends (.*?) &&/.exec(install)?.[1]?.split(' ') ?? [];
    expect(packages).toContain('clang-14');
    expect(packages.filter((name) => !known.has(name))).toEqual([]);
  });

  it('shares its content and its entry point with scripts/build-image.sh', () => {
    const script = read('scripts/build-image.sh');
    expect(runtime).toContain('COPY deploy/image/packages /tmp/packages');
    expect(script).toContain('deploy/image/packages');
    expect(script).toContain('scripts/image-content.sh');
    for (const shared of ['["/opt/shunt/bin/shunt"]', 'NODE_ENV=production', 'PATH=/opt/shunt/bin:']) {
      expect(runtime.join('\n')).toContain(shared);
      expect(script).toContain(shared);
    }
  });

  it.each(['Dockerfile', 'scripts/build-image.sh', 'scripts/image-content.sh'])(
    '%s names no host',
    (file) => {
      expect(read(file)).not.toMatch(/https?:\/\//);
    },
  );
});
