import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from 'vitest';
import { cases as hooks } from './cases/hooks.js';
import { cases as netlink } from './cases/netlink.js';
import { cases as tcx } from './cases/tcx.js';
import { pinDirectory } from './support/bpffs.js';
import { compiledCases, testObject } from './support/build.js';
import { type Lab, makeLab, runCase } from './support/netns.js';

// Attaching and rtnetlink happen in network namespaces of our own: each case is a child process inside a fresh one.

let compiled: string;
let lab: Lab;
const pins = pinDirectory('netns');

beforeAll(() => {
  compiled = compiledCases();
});
beforeEach(() => {
  lab = makeLab();
});
afterEach(() => lab.remove());
afterAll(() => {
  pins.remove();
  rmSync(join(compiled, '..', '..', '..'), { recursive: true });
});

for (const [module, cases] of Object.entries({ tcx, hooks, netlink })) {
  describe(module, () => {
    test.each(Object.keys(cases))('%s', async (name) => {
      const extra = { object: testObject('sample'), pins: pins.path };
      await runCase(join(compiled, 'main.js'), module, name, lab, extra);
    });
  });
}
