import { defineConfig } from 'vitest/config';
import { netnsPool } from './test/support/packet/netns-pool.js';

// As PATIENCE of the box: an emulated machine needs longer for everything.
const seconds = 1000 * Number(process.env.SHUNT_BOX_PATIENCE ?? 1);

// By what they need: nothing; a kernel that loads BPF; network namespaces; what only the kernel of scripts/qemu-6.1.sh has.
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'test/abi/**/*.test.ts'] } },
      {
        test: {
          name: 'packet',
          include: ['test/packet/**/*.test.ts', 'test/native/**/*.test.ts'],
          // A network namespace for every file.
          pool: netnsPool(),
          testTimeout: 60 * seconds,
          hookTimeout: 60 * seconds,
        },
      },
      {
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          testTimeout: 120 * seconds,
          hookTimeout: 120 * seconds,
          // Most of a test is waiting, and every box is alone; an emulated machine has enough with one.
          maxWorkers: seconds > 1000 ? 1 : 2,
          // vitest wants that where projects with other numbers of workers run in one call.
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['test/kernel/**/*.test.ts'],
          testTimeout: 120 * seconds,
          hookTimeout: 120 * seconds,
          fileParallelism: false,
        },
      },
    ],
  },
});
