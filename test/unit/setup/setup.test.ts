import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = resolve(import.meta.dirname, '../../../scripts/setup.sh');

/** Real programs that the script needs to say anything at all. */
const PLAIN = ['bash', 'awk', 'tr', 'sort', 'dirname', 'uname'];

/** A machine that will do; each test spoils one thing. */
const GOOD: Record<string, string> = {
  id: 'echo 0',
  uname: 'case $1 in -s) echo Linux ;; -r) echo 6.1.0-28-amd64 ;; *) echo x86_64 ;; esac',
  perl: 'exit 0',
  node: 'echo v20.19.0',
  npm: 'exit 0',
  'apt-get': 'exit 0',
};

describe('what set-up says about a machine that will not do', () => {
  let folder: string;
  let btf: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shunt-setup-'));
    btf = join(folder, 'vmlinux');
    writeFileSync(btf, '');
    for (const name of PLAIN) {
      const path = ['/usr/bin', '/bin'].map((dir) => join(dir, name)).find((file) => existsSync(file));
      if (path !== undefined) symlinkSync(path, join(folder, name));
    }
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function check(changes: Record<string, string | undefined> = {}, env: Record<string, string> = {}) {
    for (const [name, body] of Object.entries({ ...GOOD, ...changes })) {
      rmSync(join(folder, name), { force: true });
      if (body === undefined) continue;
      writeFileSync(join(folder, name), `#!${join(folder, 'bash')}\n${body}\n`);
      chmodSync(join(folder, name), 0o755);
    }
    const run = spawnSync(join(folder, 'bash'), [SCRIPT, '--check'], {
      encoding: 'utf8',
      env: { PATH: folder, SHUNT_SETUP_BTF: btf, ...env },
    });
    return { code: run.status, out: run.stdout, err: run.stderr };
  }

  it('accepts the oldest machine that is supported, and names what it would install', () => {
    const { code, out, err } = check();
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(out).toMatch(/^setup: this machine will do; to install: .*\bclang-14\b.*\bcmake\b/);
  });

  const SPOILT: [string, Record<string, string | undefined>, Record<string, string>, string][] = [
    [
      'not root',
      { id: 'echo 1000' },
      {},
      'not root: run this as root (for example with sudo), because loading BPF programs and making network namespaces needs it.',
    ],
    [
      'another system',
      { uname: 'echo Darwin' },
      {},
      'this is Darwin, not Linux: use a Linux machine with kernel 6.1 or newer.',
    ],
    [
      'an old kernel',
      { uname: 'case $1 in -s) echo Linux ;; *) echo 5.15.0-91-generic ;; esac' },
      {},
      'Linux 5.15.0-91-generic is too old: boot a kernel of 6.1 or newer (Debian 12 has 6.1).',
    ],
    [
      'a kernel without BTF',
      {},
      { SHUNT_SETUP_BTF: '/nonexistent/vmlinux' },
      "the kernel has no BTF (/nonexistent/vmlinux is missing): boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's own are.",
    ],
    [
      'a sandbox that refuses bpf()',
      { perl: 'printf "Operation not permitted"; exit 1' },
      {},
      'the bpf() system call is refused (Operation not permitted): run on the machine itself or in a privileged container, with a kernel built with CONFIG_BPF_SYSCALL=y.',
    ],
    [
      'no Node.js',
      { node: undefined },
      {},
      'Node.js is missing: install Node.js 20.19 or newer (https://nodejs.org).',
    ],
    [
      'an old Node.js',
      { node: 'echo v20.18.1' },
      {},
      'Node.js v20.18.1 is too old: install Node.js 20.19 or newer (https://nodejs.org).',
    ],
    [
      'no npm',
      { npm: undefined },
      {},
      'npm is missing: install it beside Node.js (https://nodejs.org has both).',
    ],
  ];

  it.each(SPOILT)('%s: one sentence, exit code 1', (_what, changes, env, sentence) => {
    const { code, out, err } = check(changes, env);
    expect(err).toBe(`setup: ${sentence}\n`);
    expect(out).toBe('');
    expect(code).toBe(1);
  });

  it('tools missing and no apt-get: names the packages', () => {
    const { code, err } = check({ 'apt-get': undefined });
    expect(err).toMatch(
      /^setup: missing tools and no apt-get to install them with: install what Debian 12 calls .*clang-14.*\.\n$/,
    );
    expect(code).toBe(1);
  });

  it.each(['v20.19.0', 'v22.1.0', 'v24.0.0'])('Node.js %s will do', (version) => {
    expect(check({ node: `echo ${version}` }).code).toBe(0);
  });

  it.each(['6.1.0', '6.18.44-x', '7.0.0-rc1'])('Linux %s will do', (release) => {
    expect(check({ uname: `case $1 in -s) echo Linux ;; *) echo ${release} ;; esac` }).code).toBe(0);
  });
});
