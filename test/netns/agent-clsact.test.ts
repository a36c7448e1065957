import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Box, createBox, repositoryRoot } from '../../box/index.js';

interface Filter {
  name: string;
  direction: string;
  program?: string;
  progId?: number;
}

let box: Box;
beforeAll(async () => {
  box = await createBox({ nodes: 1, pods: [{ name: 'a1', node: 'node1' }] });
});
afterAll(() => box?.close());

it('hangs programs on clsact filters, replaces them in place and removes them', async () => {
  const script = join(repositoryRoot(), 'test/support/netns/clsact.mjs');
  const { stdout } = await box.exec('node1', ['node', script, repositoryRoot()], { timeoutMs: 60_000 });
  const [first = [], second = [], third = []] = JSON.parse(stdout) as Filter[][];
  const text = (filters: Filter[]) => filters.map((f) => `${f.name} ${f.direction} ${f.program}`);
  expect(text(first)).toEqual([
    'eth0 ingress tc_uplink_in',
    'eth0 egress tc_uplink_out',
    'vetha1 ingress tc_pod_in',
    'vetha1 egress tc_pod_out',
  ]);
  expect(text(second)).toEqual(text(first));
  second.forEach((filter, i) => {
    expect(filter.progId).not.toBe(first[i]?.progId);
  });
  expect(third.every((filter) => filter.program === undefined)).toBe(true);
});
