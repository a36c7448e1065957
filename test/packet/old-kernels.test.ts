/** What a kernel older than the one at hand would refuse, read off the object. `npm run test:qemu` asks Linux 6.1 itself. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repositoryRoot } from '../../box/index.js';
import { deepestChains } from '../support/object/stack.js';

const MAX_BPF_STACK = 512;

const OBJECT = join(repositoryRoot(), 'build/bpf/shunt.bpf.o');

it('no chain of calls takes more stack than Linux 6.1 allows, whose frames are multiples of 32 bytes', () => {
  const chains = deepestChains(OBJECT);
  expect(chains.length).toBeGreaterThan(10);
  expect(chains.filter(({ bytes }) => bytes > MAX_BPF_STACK)).toEqual([]);
});

it('the chains include callbacks and what is called in another section', () => {
  const [chain] = deepestChains(OBJECT, ['tc_pod_in']);
  expect(chain?.bytes).toBeGreaterThan(300);
  expect(deepestChains(OBJECT, ['reserve_reply'])[0]?.functions.slice(0, 2)).toEqual([
    'reserve_reply',
    'try_port',
  ]);
});
