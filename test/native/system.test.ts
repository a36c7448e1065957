import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { addon } from '../../src/native/addon.js';
import {
  BpfMap,
  isBpffs,
  lockFile,
  MapType,
  membarrier,
  monotonicNs,
  mountBpffs,
  netnsCookie,
  openHandles,
  ProgramType,
  probeFeatures,
  probeHelper,
} from '../../src/native/index.js';
import { addonPath } from '../../src/native/paths.js';
import { kernelFds } from './support/process.js';

test('probes this kernel: everything the tests need is there, nothing stays behind', () => {
  const before = kernelFds();
  const features = probeFeatures();
  expect(features).toMatchObject({
    permitted: true,
    programs: true,
    btf: true,
    tcx: true,
    xdpLink: true,
    cgroupLink: true,
    ringbuf: true,
    batch: true,
    mmapArray: true,
    testRunTc: true,
    testRunXdp: true,
    netnsCookie: true,
  });
  expect(features.kernelVersion[0]).toBeGreaterThanOrEqual(6);
  expect(features.libbpf).toMatch(/^v\d+\.\d+/);
  expect(kernelFds()).toEqual(before);
});

test('without privileges the probe says so instead of failing', () => {
  const path = JSON.stringify(addonPath());
  const script = `process.setgid(65534); process.setuid(65534); console.log(JSON.stringify(require(${path}).probeFeatures()))`;
  const out = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  expect(JSON.parse(out)).toMatchObject({ permitted: false, programs: false, tcx: false, batch: false });
});

test('knows which helpers a program type may call', () => {
  expect(probeHelper(ProgramType.SCHED_CLS, 152)).toBe(true); // bpf_redirect_neigh
  expect(probeHelper(ProgramType.XDP, 152)).toBe(false);
  expect(probeHelper(ProgramType.XDP, 69)).toBe(true); // bpf_fib_lookup
  expect(probeHelper(ProgramType.XDP, 9999)).toBe(false);
});

test('membarrier waits off the event loop, by either way', async () => {
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  await membarrier();
  await Promise.all([membarrier(), membarrier()]);
  clearInterval(ticking);
  expect(turns).toBeGreaterThan(0);
  expect(await addon().membarrier(true)).toBe('map');
});

test('clock and cookie are those of the kernel', () => {
  const uptime = monotonicNs();
  expect(monotonicNs()).toBeGreaterThanOrEqual(uptime);
  expect(Math.abs(Number(uptime) / 1e9 - Number(process.hrtime.bigint()) / 1e9)).toBeLessThan(1);
  expect(netnsCookie()).toBe(netnsCookie());
  expect(netnsCookie()).toBeGreaterThan(0n);
});

test('mounts a bpffs of its own, and says why it cannot', () => {
  const directory = mkdtempSync(join(tmpdir(), 'native-bpffs-'));
  mountBpffs(directory);
  try {
    expect(isBpffs(directory)).toBe(true);
    using map = BpfMap.create({ name: 'm', type: MapType.ARRAY, keySize: 4, valueSize: 4, maxEntries: 1 });
    map.pin(join(directory, 'm'));
  } finally {
    execFileSync('umount', [directory]);
    rmdirSync(directory);
  }
  expect(() => mountBpffs('/nonexistent')).toThrow(
    'mount bpffs at /nonexistent: no such file or directory (ENOENT)',
  );
});

test('counts the handles that this thread has open', () => {
  const before = openHandles();
  const map = BpfMap.create({ name: 'm', type: MapType.ARRAY, keySize: 4, valueSize: 4, maxEntries: 1 });
  expect(openHandles()).toBe(before + 1);
  map.close();
  expect(openHandles()).toBe(before);
});

test('locks a directory for one open file at a time, whatever its path is spelt like', () => {
  const directory = mkdtempSync(join(tmpdir(), 'lock-'));
  const [first, second] = [
    openSync(directory, 'r'),
    openSync(`${directory}/../${directory.split('/').pop()}/`, 'r'),
  ];
  expect(lockFile(first)).toBe(true);
  expect(lockFile(first)).toBe(true);
  expect(lockFile(second)).toBe(false);
  closeSync(first);
  expect(lockFile(second)).toBe(true);
  closeSync(second);
  rmdirSync(directory);
  expect(() => lockFile(first)).toThrow(/EBADF/);
});
