import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfError, BpfMap, BpfObject, MapFlag, MapType, UpdateFlag } from '../../src/native/index.js';
import { testObject } from './support/build.js';
import { frame, readU32, u32, u64 } from './support/bytes.js';

let object: BpfObject;

beforeAll(async () => {
  object = await BpfObject.load({ path: testObject('sample'), programs: ['tc_one'] });
});
afterAll(() => object.close());

function hash(maxEntries: number, flags = 0): BpfMap {
  return BpfMap.create({ name: 'numbers', type: MapType.HASH, keySize: 4, valueSize: 8, maxEntries, flags });
}

function failure(body: () => unknown): BpfError {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    return error as BpfError;
  }
  throw new Error('nothing was thrown');
}

test('looks up, updates and deletes by bytes', () => {
  using map = hash(4);
  expect(map.lookup(u32(1))).toBeUndefined();
  map.update(u32(1), u64(10n));
  expect(map.lookup(u32(1))).toEqual(u64(10n));
  map.update(u32(1), u64(11n), UpdateFlag.EXIST);
  expect(map.lookup(u32(1))).toEqual(u64(11n));
  expect(map.delete(u32(1))).toBe(true);
  expect(map.delete(u32(1))).toBe(false);
});

test('a full map says so, with the call, the map and what to do', () => {
  using map = hash(2);
  map.update(u32(1), u64(1n));
  map.update(u32(2), u64(2n));
  const error = failure(() => map.update(u32(3), u64(3n)));
  expect(error).toMatchObject({
    name: 'BpfError',
    code: 'E2BIG',
    errno: 7,
    syscall: 'bpf(BPF_MAP_UPDATE_ELEM)',
    object: 'map numbers',
  });
  expect(error.message).toBe(
    'update map numbers: argument list too long (E2BIG). The map is full (or the index is past its end): load it with a larger maxEntries.',
  );
  expect(error.stack?.split('\n')[1]).toContain('map.ts');
});

test('update flags are kept by the kernel', () => {
  using map = hash(2);
  expect(failure(() => map.update(u32(1), u64(1n), UpdateFlag.EXIST)).code).toBe('ENOENT');
  map.update(u32(1), u64(1n), UpdateFlag.NOEXIST);
  expect(failure(() => map.update(u32(1), u64(1n), UpdateFlag.NOEXIST)).code).toBe('EEXIST');
});

test('keys and values of the wrong size never reach the kernel', () => {
  using map = hash(2);
  expect(() => map.lookup(new Uint8Array(3))).toThrow('key of map numbers must be 4 bytes, got 3');
  expect(() => map.update(u32(1), new Uint8Array(9))).toThrow('value of map numbers must be 8 bytes, got 9');
  expect(() => map.lookup('1234' as never)).toThrow('key must be a Uint8Array');
  expect(() => map.updateBatch(u32(1), u64(1n), 2)).toThrow('keys of map numbers must be 8 bytes, got 4');
});

test('a view into a larger buffer is read from its own offset', () => {
  using map = hash(2);
  const backing = u32(9, 5, 9);
  map.update(backing.subarray(4, 8), u64(50n));
  expect(map.lookup(u32(5))).toEqual(u64(50n));
});

test('nextKey walks every key and starts again from an absent one', () => {
  using map = hash(8);
  for (let i = 0; i < 5; i++) map.update(u32(i), u64(BigInt(i)));
  const seen = new Set<number>();
  for (let key = map.nextKey(); key; key = map.nextKey(key)) seen.add(readU32(key));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4]);
  expect(map.nextKey(u32(77))).toEqual(map.nextKey());
});

test('writes and deletes by batches, passing over absent keys', () => {
  using map = hash(100);
  const count = 60;
  const keys = new Uint8Array(new Uint32Array(count).map((_, i) => i).buffer);
  const values = new Uint8Array(new BigUint64Array(count).map((_, i) => BigInt(i * 10)).buffer);
  expect(map.updateBatch(keys, values, count)).toBe(count);
  expect(map.lookup(u32(59))).toEqual(u64(590n));
  expect(map.updateBatch(new Uint8Array(0), new Uint8Array(0), 0)).toBe(0);
  // 10 of the 60 are absent.
  const mixed = new Uint8Array(new Uint32Array(count).map((_, i) => i + 10).buffer);
  expect(map.deleteBatch(mixed, count)).toBe(50);
  expect([...map.entries()].length).toBe(10);
});

test('a batch that does not fit says how many went in', () => {
  using map = hash(4, MapFlag.NO_PREALLOC);
  const keys = u32(1, 2, 3, 4, 5, 6);
  const error = failure(() => map.updateBatch(keys, u64(1n, 2n, 3n, 4n, 5n, 6n), 6));
  expect(error.code).toBe('E2BIG');
  expect(error.processed).toBe(4);
});

test('a batch with NOEXIST stops at the key that is there', () => {
  using map = hash(8);
  map.update(u32(3), u64(0n));
  const error = failure(() => map.updateBatch(u32(1, 2, 3, 4), u64(1n, 2n, 3n, 4n), 4, UpdateFlag.NOEXIST));
  expect(error).toMatchObject({ code: 'EEXIST', processed: 2 });
});

test('iterates over a large map in several batches, each entry once', () => {
  const map = object.map('large');
  const count = 4000;
  map.updateBatch(
    new Uint8Array(new Uint32Array(count).map((_, i) => i).buffer),
    new Uint8Array(new BigUint64Array(count).map((_, i) => BigInt(i) * 3n).buffer),
    count,
  );
  const seen = new Map<number, bigint>();
  for (const [key, value] of map.entries()) {
    expect(seen.has(readU32(key))).toBe(false);
    seen.set(readU32(key), new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
  }
  expect(seen.size).toBe(count);
  expect(seen.get(3999)).toBe(11997n);
  const first = map.lookupBatch(8);
  expect(first?.count).toBeGreaterThan(0);
  expect(first?.cursor).toBeDefined();
});

test('iterates over arrays, prefix tries and maps without batches', () => {
  expect([...object.map('triples').entries()].length).toBe(4);
  const prefixes = object.map('prefixes');
  prefixes.update(u32(8, 10), u32(1));
  prefixes.update(u32(16, 0x2020), u32(2));
  expect([...prefixes.entries()].map(([, value]) => readU32(value)).sort()).toEqual([1, 2]);
  expect([...object.map('devices').entries()]).toEqual([]);
});

test('per-CPU maps exchange one slot for each possible CPU', () => {
  const map = object.map('per_cpu');
  expect(map.info.valueSize).toBe(4);
  expect(map.valueBytes % 8).toBe(0);
  const value = new Uint8Array(map.valueBytes).fill(0);
  value[0] = 5;
  map.update(u32(0), value);
  expect(map.lookup(u32(0))).toEqual(value);
  expect([...map.entries()][0]?.[1].length).toBe(map.valueBytes);
});

test('opens the same map by id, and describes its C types', () => {
  const table = object.map('table');
  using again = BpfMap.openById(table.info.id);
  again.update(new Uint8Array(8), new Uint8Array(16).fill(7));
  expect(table.lookup(new Uint8Array(8))).toEqual(new Uint8Array(16).fill(7));
  expect(again.describe().btf?.value).toBe(
    'struct sample_value:16{first@0:__u32=u32 second@4:__u32=u32 third@8:__u64=u64}',
  );
  expect(failure(() => BpfMap.openById(0x7fffffff)).message).toContain('open map id 2147483647: ');
});

test('a map of maps takes descriptors', () => {
  using inner = BpfMap.create({
    name: 'inner',
    type: MapType.ARRAY,
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
  });
  using outer = BpfMap.create({
    name: 'outer',
    type: MapType.HASH_OF_MAPS,
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
    innerMap: inner,
  });
  outer.update(u32(1), u32(inner.fd));
  expect(readU32(outer.lookup(u32(1)) ?? new Uint8Array(4))).toBe(inner.info.id);
});

test('a frozen map refuses writes from user space', () => {
  using map = hash(2);
  map.freeze();
  const error = failure(() => map.update(u32(1), u64(1n)));
  expect(error.code).toBe('EPERM');
  expect(error.hint).toBe('The map is frozen or read-only.');
});

test('a closed map refuses every call by name, and may be closed again', () => {
  const map = hash(2);
  map.close();
  map.close();
  expect(map.closed).toBe(true);
  for (const call of [() => map.lookup(u32(1)), () => map.mmap(), () => map.fd, () => map.pin('/x')]) {
    const error = failure(call);
    expect(error.code).toBe('EBADF');
    expect(error.message).toBe(
      'use map numbers: it is closed (EBADF). Keep the handle open as long as it is used.',
    );
  }
  expect(map.info.name).toBe('numbers');
});

test('a map that the kernel refuses to make is named', () => {
  const error = failure(() =>
    BpfMap.create({ name: 'wrong', type: MapType.ARRAY, keySize: 8, valueSize: 4, maxEntries: 1 }),
  );
  expect(error.message).toBe('create map wrong: invalid argument (EINVAL)');
});

test('a program of the object writes into its maps', () => {
  object.program('tc_one').testRun({ data: frame(), repeat: 4 });
  expect(object.map('counters').lookup(u32(0))).toEqual(u64(4n));
});
