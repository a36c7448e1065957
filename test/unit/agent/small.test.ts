import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cleanup, removeTraces } from '../../../src/agent/cleanup.js';
import { Samples } from '../../../src/agent/counters.js';
import { findCgroup2, kernelProblems } from '../../../src/agent/features.js';
import type { HookPort } from '../../../src/agent/hook-port.js';
import { createLogger, WarningLog } from '../../../src/agent/log.js';
import { compilePatterns } from '../../../src/agent/patterns.js';
import { StatusFile } from '../../../src/agent/status-file.js';

const scratch = mkdtempSync(join(tmpdir(), 'shunt-agent-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('WarningLog', () => {
  function setup() {
    const lines: { msg: string; suppressed?: number }[] = [];
    const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
    let now = 0;
    const warnings = new WarningLog(createLogger('info', stream), () => now);
    return { lines, warnings, pass: (ms: number) => (now += ms) };
  }

  it('says the same once in ten minutes', () => {
    const { lines, warnings, pass } = setup();
    warnings.warn({ object: 'Service a/b' }, 'wrong');
    warnings.warn({ object: 'Service a/b' }, 'wrong');
    warnings.warn({ object: 'Service a/c' }, 'wrong');
    expect(lines).toHaveLength(2);
    pass(600_000);
    warnings.warn({ object: 'Service a/b' }, 'wrong');
    expect(lines).toHaveLength(3);
  });

  it('cuts a flood and says how many it left out', () => {
    const { lines, warnings, pass } = setup();
    for (let i = 0; i < 500; i++) warnings.warn({ object: `Service a/${i}` }, 'wrong');
    expect(lines).toHaveLength(50);
    pass(1000);
    warnings.warn({ object: 'Service b/1' }, 'wrong');
    expect(lines.at(-1)).toMatchObject({ suppressed: 450 });
    // What was left out was not said, so it may be said now.
    warnings.warn({ object: 'Service a/499' }, 'wrong');
    expect(lines).toHaveLength(52);
  });
});

describe('Samples', () => {
  it('gives percentiles of the latest samples', () => {
    const samples = new Samples(100);
    expect(samples.percentile(0.5)).toBeUndefined();
    for (let i = 1; i <= 200; i++) samples.add(i);
    expect([samples.count, samples.percentile(0.5), samples.percentile(0.99), samples.percentile(1)]).toEqual(
      [200, 150, 199, 200],
    );
  });
});

describe('machine checks', () => {
  it('wants Linux 6.1 with BTF', () => {
    expect(kernelProblems('6.1.0-18-amd64', true)).toEqual([]);
    expect(kernelProblems('7.0', true)).toEqual([]);
    expect(kernelProblems('5.15.0', true)[0]).toMatch(/too old/);
    expect(kernelProblems('6.18.4', false)[0]).toMatch(/CONFIG_DEBUG_INFO_BTF/);
  });
  it('finds the first cgroup2 mount', () => {
    const mounts = 'cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/c\\040g cgroup2 rw 0 0\n';
    expect(findCgroup2(mounts)).toBe('/sys/fs/c g');
    expect(findCgroup2('proc /proc proc rw 0 0\n')).toBeUndefined();
  });
});

describe('compilePatterns', () => {
  it('knows * and ? and takes the rest literally', () => {
    const matches = compilePatterns(['cali*', 'eth?', 'a.b']);
    expect(['cali12', 'eth0', 'a.b'].every(matches)).toBe(true);
    expect(['xcali', 'eth10', 'axb', ''].some(matches)).toBe(false);
  });
});

describe('StatusFile', () => {
  it('replaces the file whole', () => {
    const file = new StatusFile(join(scratch, 'status.json'));
    file.write({ a: 1 });
    file.write({ a: 2 });
    expect(JSON.parse(readFileSync(file.path, 'utf8'))).toEqual({ a: 2 });
  });
});

describe('StatusFile that cannot be written', () => {
  it.each([
    ['a directory', '.', /: it is a directory \(EISDIR\)\. correct --status-file$/],
    [
      'a directory that is not there',
      'none/status.json',
      /: no such directory \(ENOENT\)\. correct --status-file$/,
    ],
  ])('%s: one sentence, and nothing is left behind', (_, name, message) => {
    const directory = join(scratch, 'status');
    mkdirSync(directory, { recursive: true });
    expect(() => new StatusFile(join(directory, name)).write({})).toThrow(message);
    expect(readdirSync(scratch).filter((each) => each.endsWith('.new'))).toEqual([]);
  });
});

describe('removeTraces', () => {
  it('removes versions, links in the order that leaves nothing half-translated, and nobody else’s files', () => {
    const pinPath = join(scratch, 'bpf');
    mkdirSync(join(pinPath, 'v1', 'links'), { recursive: true });
    mkdirSync(join(pinPath, 'other'));
    for (const name of ['tc_egress@eth0', 'sk_recvmsg4', 'xdp@eth0', 'tc_ingress@eth0', 'sk_connect4']) {
      writeFileSync(join(pinPath, 'v1', 'links', name), '');
    }
    writeFileSync(join(pinPath, 'v1', 'lb_slots'), '');
    const detached: string[] = [];
    const filters = new Map([
      ['2 ingress', 'tc_pod_in'],
      ['2 egress', 'somebody_elses'],
    ]);
    const hooks = {
      openPinned: (path: string) => ({
        info: { id: 1, progId: 1, ifindex: 2 },
        detach: () => detached.push(path.slice(path.lastIndexOf('/') + 1)),
        close: () => {},
      }),
      findClsact: (p: { ifindex: number; direction: string }) => filters.get(`${p.ifindex} ${p.direction}`),
      detachClsact: (p: { ifindex: number; direction: string }) =>
        filters.delete(`${p.ifindex} ${p.direction}`),
    } as unknown as HookPort<unknown>;
    const ports = { hooks, links: [{ ifindex: 2, name: 'eth0' }] };
    const report = removeTraces(pinPath, ports);
    expect(detached).toEqual(['xdp@eth0', 'tc_ingress@eth0', 'sk_connect4', 'tc_egress@eth0', 'sk_recvmsg4']);
    expect([...filters.keys()]).toEqual(['2 egress']);
    expect(report.problems).toEqual([]);
    expect(existsSync(join(pinPath, 'v1'))).toBe(false);
    expect(existsSync(join(pinPath, 'other'))).toBe(true);
    expect(removeTraces(pinPath, ports)).toEqual({ removed: [], problems: [] });
    rmSync(join(pinPath, 'other'), { recursive: true });
    expect(removeTraces(pinPath, ports).removed).toEqual([`directory ${pinPath}`]);
    expect(removeTraces(pinPath, ports)).toEqual({ removed: [], problems: [] });
  });

  it('leaves what is not ours in a directory that has our name', () => {
    const pinPath = join(scratch, 'foreign');
    mkdirSync(join(pinPath, 'v1', 'links'), { recursive: true });
    mkdirSync(join(pinPath, 'v1', 'data'));
    const files = ['v1/report.txt', 'v1/data/events', 'v1/links/notes'];
    for (const file of files) writeFileSync(join(pinPath, file), '');
    writeFileSync(join(pinPath, 'v1', 'lb_slots'), '');
    const report = removeTraces(pinPath, { hooks: {} as HookPort<unknown>, links: [] });
    expect(report.removed).toEqual([`pin ${join(pinPath, 'v1', 'lb_slots')}`]);
    expect(report.problems).toHaveLength(2);
    expect(report.problems[0]).toMatch(/links: notes in it is not Shunt's and was left alone/);
    expect(files.map((file) => existsSync(join(pinPath, file)))).toEqual([true, true, true]);
  });

  it('does not look for anything where no agent can have pinned it', async () => {
    const here = join(scratch, 'foreign');
    await expect(cleanup({ pinPath: here })).rejects.toThrow(/not on a BPF file system.*--pin-path/);
    await expect(cleanup({ pinPath: 'here' })).rejects.toThrow(/not an absolute path/);
  });
});
