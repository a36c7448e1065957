import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as generated from '../../src/abi/generated.js';
import { layoutsText, readAbi } from '../../src/abi/maps.js';
import { renderGenerated } from '../../src/abi/render.js';
import { RANGE_SET_CLUSTER, RANGE_SET_SERVICE } from '../../src/plan/index.js';

const root = join(import.meta.dirname, '../..');
const objectPath = join(root, 'build/bpf/shunt.bpf.o');
if (!existsSync(objectPath)) {
  throw new Error(`open ${objectPath}: not built (ENOENT). Run \`npm run build:bpf\` first.`);
}
const abi = readAbi(readFileSync(objectPath));

describe('the ABI of the built object', () => {
  it('has the layouts of the golden (UPDATE_GOLDEN=1 accepts a change)', () => {
    const golden = join(import.meta.dirname, 'layouts.golden.txt');
    const text = `${layoutsText(abi.maps, abi.structs)}\n`;
    if (process.env.UPDATE_GOLDEN) writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  it('is what src/abi/generated.ts says (else: npm run gen)', () => {
    expect(readFileSync(join(root, 'src/abi/generated.ts'), 'utf8')).toBe(renderGenerated(abi));
  });

  it('has in its enum tables what the headers say', () => {
    for (const [name, values] of abi.enums) {
      expect((generated as Record<string, unknown>)[name]).toEqual(values);
    }
  });

  it('has strides of whole 8-byte words in mmapped struct arrays', () => {
    for (const name of ['lb_backends', 'stats_services', 'stats_backends', 'stats_paths', 'stats_drops']) {
      expect((abi.maps.get(name)?.value?.size ?? 1) % 8, name).toBe(0);
    }
  });

  it('keeps map names within what the kernel stores', () => {
    for (const name of abi.maps.keys()) expect(name.length, name).toBeLessThanOrEqual(15);
  });

  it('shards counters evenly by the enums that index them', () => {
    const shards = (abi.maps.get('stats_drops')?.maxEntries ?? 0) / generated.DROP_REASON_MAX;
    expect(Number.isInteger(shards) && shards > 0).toBe(true);
    expect(abi.maps.get('stats_paths')?.maxEntries).toBe(shards * generated.PATH_MAX);
  });

  it('agrees with the headers on the range sets of the node, which BTF does not carry', () => {
    const header = readFileSync(join(root, 'bpf/abi/settings.h'), 'utf8');
    const defined = (name: string) => Number(new RegExp(`${name}\\s+(0x[0-9a-f]+)`).exec(header)?.[1]);
    expect(defined('RANGE_SET_CLUSTER')).toBe(RANGE_SET_CLUSTER);
    expect(defined('RANGE_SET_SERVICE')).toBe(RANGE_SET_SERVICE);
  });
});
