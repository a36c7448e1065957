import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isBpffs, mountBpffs } from '../../../src/native/index.js';

/** A fresh directory on bpffs, removed with everything pinned in it by `remove()`. */
export function pinDirectory(name: string): { path: string; remove(): void } {
  const root = '/sys/fs/bpf';
  if (!isBpffs(root)) mountBpffs(root);
  const path = join(root, `native-test-${name}-${process.pid}`);
  mkdirSync(path, { recursive: true });
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
