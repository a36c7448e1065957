import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasConntrackLookup, missingFeatures } from '../../../src/agent/missing.js';

const ALL = { tcx: true, cgroupLink: true, xdpLink: true, batch: true, netnsCookie: true, membarrier: true };

describe('what the kernel lacks', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'shunt-btf-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const write = (file: string, ...names: string[]) =>
    writeFileSync(join(directory, file), `\x9f\xeb\0a\0${names.join('\0')}\0z\0`, 'latin1');

  it.each<[string, [file: string, names: string[]][], boolean]>([
    ['no types at all', [], false],
    ['a kernel without conntrack', [['vmlinux', ['nf_hook']]], false],
    ['built in', [['vmlinux', ['bpf_xdp_ct_lookup', 'bpf_skb_ct_lookup', 'bpf_ct_release']]], true],
    [
      'a module that is loaded',
      [
        ['vmlinux', ['nf_hook']],
        ['nf_conntrack', ['bpf_ct_release', 'bpf_skb_ct_lookup', 'bpf_xdp_ct_lookup']],
      ],
      true,
    ],
    ['one of the two only', [['vmlinux', ['bpf_skb_ct_lookup', 'bpf_ct_release']]], false],
    [
      'a name that only begins like it',
      [['vmlinux', ['bpf_xdp_ct_lookup_more', 'bpf_skb_ct_lookup', 'bpf_ct_release']]],
      false,
    ],
  ])('can nf_conntrack be asked: %s', (_, files, expected) => {
    for (const [file, names] of files) write(file, ...names);
    expect(hasConntrackLookup(directory)).toBe(expected);
  });

  it('is named with what follows', () => {
    expect(missingFeatures(ALL, true)).toEqual([]);
    const missing = missingFeatures({ ...ALL, tcx: false }, false);
    expect(missing.map(({ name, isHarmless }) => [name, isHarmless])).toEqual([
      ['tcx', true],
      ['conntrackLookup', false],
    ]);
    for (const { consequence } of missing) expect(consequence).not.toBe('');
    expect(missing[1]?.wayOut).toMatch(/--takeover-window/);
  });
});
