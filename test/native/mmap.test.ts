import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { BpfMap, BpfObject, MapFlag, MapType } from '../../src/native/index.js';
import { testObject } from './support/build.js';
import { frame, readU64, u32, u64 } from './support/bytes.js';
import { mappedMaps, sleep } from './support/process.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const load = () => BpfObject.load({ path: testObject('sample'), programs: ['tc_one', 'tc_store'] });

function array(maxEntries: number, valueSize = 8): BpfMap {
  return BpfMap.create({
    name: 'shared',
    type: MapType.ARRAY,
    keySize: 4,
    valueSize,
    maxEntries,
    flags: MapFlag.MMAPABLE,
  });
}

test('stores through the mapping are what programs and lookups see, and the other way round', async () => {
  using object = await load();
  const counters = object.map('counters');
  const words = new BigUint64Array(counters.mmap());
  expect(words.length).toBe(16);
  words[0] = 100n;
  object.program('tc_one').testRun({ data: frame(), repeat: 5 });
  expect(words[0]).toBe(105n);
  expect(counters.lookup(u32(0))).toEqual(u64(105n));
  expect(Atomics.add(words, 0, 1n)).toBe(105n);
  expect(readU64(counters.lookup(u32(0)) ?? u64(0n))).toBe(106n);
});

test('values take a stride of 8 bytes', async () => {
  using object = await load();
  const triples = object.map('triples');
  expect(triples.valueStride).toBe(16);
  const words = new Uint32Array(triples.mmap());
  expect(words.byteLength).toBe(4 * 16);
  words[(2 * 16) / 4] = 7;
  expect(triples.lookup(u32(2))).toEqual(u32(7, 0, 0));
});

test('the same buffer is returned while it lives', () => {
  using map = array(4);
  expect(map.mmap()).toBe(map.mmap());
});

test('a mapping larger than a page is whole', () => {
  using map = array(100_000, 4);
  const words = new Uint32Array(map.mmap());
  expect(words.length).toBe(200_000);
  words[2 * 99_999] = 0xabcdef;
  expect(map.lookup(u32(99_999))).toEqual(u32(0xabcdef));
});

test('closing detaches first: late accesses touch nothing', () => {
  const map = array(4);
  const buffer = map.mmap();
  const words = new BigUint64Array(buffer);
  words[1] = 5n;
  const before = mappedMaps();
  map.close();
  expect(mappedMaps()).toBe(before - 1);
  expect(buffer.byteLength).toBe(0);
  expect(words.length).toBe(0);
  words[1] = 6n;
  expect(words[1]).toBeUndefined();
  expect(() => Atomics.store(words, 1, 6n)).toThrow(TypeError);
});

test('munmap detaches, and a new mapping can follow', () => {
  using map = array(4);
  const first = map.mmap();
  new BigUint64Array(first)[0] = 9n;
  map.munmap();
  map.munmap();
  expect(first.byteLength).toBe(0);
  const second = map.mmap();
  expect(second).not.toBe(first);
  expect(new BigUint64Array(second)[0]).toBe(9n);
});

test('a forgotten buffer is unmapped by the garbage collector, the map staying usable', async () => {
  using map = array(4);
  const before = mappedMaps();
  (() => {
    new BigUint64Array(map.mmap())[0] = 3n;
  })();
  expect(mappedMaps()).toBe(before + 1);
  for (let i = 0; i < 50 && mappedMaps() > before; i++) {
    collect();
    await sleep(10);
  }
  expect(mappedMaps()).toBe(before);
  expect(new BigUint64Array(map.mmap())[0]).toBe(3n);
});

test('a buffer outlives a map that was forgotten without close', async () => {
  const buffer = array(4).mmap();
  for (let i = 0; i < 10; i++) {
    collect();
    await sleep(5);
  }
  const words = new BigUint64Array(buffer);
  words[0] = 8n;
  expect(words[0]).toBe(8n);
});

test('a buffer that was forgotten before close() is unmapped once', async () => {
  const map = array(4);
  const settle = async () => {
    for (let i = 0; i < 10; i++) {
      collect();
      await sleep(5);
    }
    return mappedMaps();
  };
  const before = await settle();
  (() => map.mmap())();
  expect(mappedMaps()).toBe(before + 1);
  expect(await settle()).toBe(before);
  map.close();
  expect(mappedMaps()).toBe(before);
});

// Node 20 makes a copy, later versions throw; neither may leave somebody with unmapped memory.
test('a buffer in a transfer list stays safe to use after close()', () => {
  const map = array(4);
  const buffer = map.mmap();
  new BigUint64Array(buffer)[0] = 4n;
  let moved: ArrayBuffer | undefined;
  try {
    moved = structuredClone(buffer, { transfer: [buffer] });
  } catch (error) {
    expect(String(error)).toContain('DataCloneError');
  }
  map.close();
  expect(buffer.byteLength).toBe(0);
  if (moved) expect(new BigUint64Array(moved)[0]).toBe(4n);
});

test('maps without BPF_F_MMAPABLE refuse, naming what is needed', () => {
  using map = BpfMap.create({ name: 'plain', type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 4 });
  expect(() => map.mmap()).toThrow(/^map into memory map plain: .* Only arrays made with BPF_F_MMAPABLE/);
});

test('64-bit elements are never seen half written while a program flips them', async () => {
  using object = await load();
  const words = new BigUint64Array(object.map('counters').mmap());
  let torn = 0;
  for (let round = 0; round < 200; round++) {
    object.program('tc_store').testRun({ data: frame(), repeat: 101 });
    const seen = words[3];
    if (seen !== 0n && seen !== 0xffffffffffffffffn) torn++;
  }
  expect(torn).toBe(0);
});
