import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfMap, MapFlag, MapType } from '../../src/native/index.js';
import { compiledCases, testObject } from './support/build.js';
import { kernelFds, mappedMaps, sleep } from './support/process.js';

let compiled: string;

beforeAll(() => {
  compiled = compiledCases();
});
afterAll(() => rmSync(join(compiled, '..', '..', '..'), { recursive: true }));

interface Outcome {
  message: Record<string, number>;
  exit: number;
}

function start(
  mode: string,
  extra: object = {},
): { worker: Worker; message: Promise<Record<string, number>>; exit: Promise<number> } {
  const workerData = { object: testObject('sample'), mode, ...extra };
  const worker = new Worker(join(compiled, 'worker.js'), { workerData });
  const message = new Promise<Record<string, number>>((resolve, reject) => {
    worker.on('message', resolve);
    worker.on('error', reject);
  });
  const exit = new Promise<number>((resolve) => worker.on('exit', resolve));
  return { worker, message, exit };
}

async function run(mode: string, terminate = false, extra: object = {}): Promise<Outcome> {
  const { worker, message, exit } = start(mode, extra);
  const first = await message;
  if (terminate) await worker.terminate();
  return { message: first, exit: await exit };
}

test('works in a worker thread, ring buffer included', async () => {
  const { message, exit } = await run('records');
  expect(message).toEqual({ seen: 5, open: 0 });
  expect(exit).toBe(0);
});

test('what a worker leaves open is closed and unmapped with it', async () => {
  const fds = kernelFds();
  const mapped = mappedMaps();
  for (let i = 0; i < 3; i++) {
    const { message, exit } = await run('leave-open');
    expect(message.open).toBeGreaterThan(15);
    expect(exit).toBe(4);
  }
  expect(kernelFds()).toEqual(fds);
  expect(mappedMaps()).toBe(mapped);
});

test('a worker may be terminated with everything open', async () => {
  const fds = kernelFds();
  const mapped = mappedMaps();
  for (let i = 0; i < 3; i++) expect((await run('terminate', true)).message.kept).toBe(4);
  expect(kernelFds()).toEqual(fds);
  expect(mappedMaps()).toBe(mapped);
});

test('a worker may be terminated in the middle of a load, a dump and a membarrier', async () => {
  const fds = kernelFds();
  for (let i = 0; i < 10; i++) {
    const { worker, message } = start('in-flight');
    await message;
    await sleep(i);
    await worker.terminate();
  }
  await sleep(50);
  expect(kernelFds()).toEqual(fds);
});

test('several workers at once have nothing in common', async () => {
  const outcomes = await Promise.all([run('records'), run('records'), run('leave-open'), run('records')]);
  expect(outcomes.map(({ exit }) => exit)).toEqual([0, 0, 4, 0]);
});

test('elements of a mapped array are never seen half written by another thread', async () => {
  using map = BpfMap.create({
    name: 'words',
    type: MapType.ARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: MapFlag.MMAPABLE,
  });
  const words = new BigUint64Array(map.mmap());
  const { message } = start('store', { mapId: map.info.id });
  let reads = 0;
  let torn = 0;
  let stores = 0;
  void message.then((answer) => {
    stores = answer.stores ?? 0;
  });
  while (stores === 0) {
    for (let i = 0; i < 2000; i++, reads++) {
      const seen = words[0];
      if (seen !== 0n && seen !== 0xffffffffffffffffn) torn++;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(torn).toBe(0);
  expect(stores).toBeGreaterThan(1000);
  expect(reads).toBeGreaterThan(1000);
});

test('a process that ends with everything open ends cleanly', () => {
  const script = `
    const { BpfObject, RingBuffer, Netlink } = await import(${JSON.stringify(join(compiled, '..', '..', '..', 'src', 'native', 'index.js'))});
    const object = await BpfObject.load({ path: ${JSON.stringify(testObject('sample'))} });
    globalThis.kept = [object, new BigUint64Array(object.map('counters').mmap()),
      new RingBuffer(object.map('records'), () => {}).unref(), new Netlink().unref()];
    if (process.argv.includes('exit')) process.exit(0);`;
  for (const how of ['exit', 'return']) {
    execFileSync(process.execPath, ['--input-type=module', '-e', script, how], { timeout: 10_000 });
  }
});
