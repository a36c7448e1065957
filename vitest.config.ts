import { defineConfig } from 'vitest/config';
import { netnsPool } from './test/support/packet/netns-pool.js';

// Three projects by what they need: nothing; a kernel that loads BPF; network namespaces.
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
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
