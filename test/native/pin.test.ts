import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  BpfError,
  BpfLink,
  BpfMap,
  BpfObject,
  BpfProgram,
  isBpffs,
  MapType,
} from '../../src/native/index.js';
import { pinDirectory } from './support/bpffs.js';
import { testObject } from './support/build.js';
import { frame, u32, u64 } from './support/bytes.js';

const path = testObject('sample');
const pins = pinDirectory('pin');
let object: BpfObject;

beforeAll(async () => {
  object = await BpfObject.load({ path, programs: ['tc_one', 'tc_answer'] });
});
afterAll(() => {
  object.close();
  pins.remove();
});

function failure(body: () => unknown): BpfError {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    return error as BpfError;
  }
  throw new Error('nothing was thrown');
}

test('a pinned map outlives its handle and opens again', () => {
  const pin = join(pins.path, 'numbers');
  const spec = { name: 'numbers', type: MapType.HASH, keySize: 4, valueSize: 8, maxEntries: 4 };
  const map = BpfMap.create(spec);
  map.update(u32(1), u64(2n));
  map.pin(pin);
  map.close();
  using again = BpfMap.openPinned(pin, spec);
  expect(again.lookup(u32(1))).toEqual(u64(2n));
  expect(again.info.name).toBe('numbers');
  rmSync(pin);
  expect(failure(() => BpfMap.openPinned(pin)).code).toBe('ENOENT');
});

test('an object file says what its pins must be: every difference is refused and named', () => {
  const pin = join(pins.path, 'table');
  object.map('table').pin(pin);
  const expected = BpfObject.inspect(path).maps.table;
  if (!expected) throw new Error('no table');
  BpfMap.openPinned(pin, expected).close();

  const refused = (change: object) => failure(() => BpfMap.openPinned(pin, { ...expected, ...change }));
  expect(refused({ type: MapType.LRU_HASH }).message).toContain('type is hash, expected lru_hash');
  expect(refused({ keySize: 12 }).message).toContain('key size is 8, expected 12');
  expect(refused({ valueSize: 24 }).message).toContain('value size is 16, expected 24');
  expect(refused({ maxEntries: 9 }).message).toContain('max entries is 8, expected 9');
  expect(refused({ flags: 1 }).message).toContain('flags is 0, expected 1');
  const both = refused({ keySize: 12, maxEntries: 9 });
  expect(both.code).toBe('EINVAL');
  expect(both.message).toBe(
    `open pinned map ${pin}: key size is 8, expected 12, max entries is 8, expected 9 (EINVAL). ` +
      'Something else is pinned there: use the program that made it, or remove the pin.',
  );
  const other = BpfObject.inspect(testObject('sample', 'SAMPLE_OTHER_LAYOUT')).maps.table;
  expect(refused({ btf: other?.btf }).message).toContain(
    'value type is "first@0:__u32=u32", expected "first@0:__u64=u64"',
  );
});

test('every map of an object can be pinned and opened with its own description', () => {
  const { maps } = BpfObject.inspect(path);
  for (const name of object.mapNames.filter((name) => !name.startsWith('.'))) {
    const pin = join(pins.path, `all_${name}`);
    object.map(name).pin(pin);
    BpfMap.openPinned(pin, maps[name]).close();
  }
});

test('a pinned program opens again and is the same code', () => {
  const pin = join(pins.path, 'tc_answer');
  object.program('tc_answer').pin(pin);
  using again = BpfProgram.openPinned(pin);
  expect(again.info.tag).toBe(object.program('tc_answer').info.tag);
  expect(again.testRun({ data: frame() }).retval).toBe(41);
});

test('a pin of another kind is refused by what it is', () => {
  const map = join(pins.path, 'kind_map');
  const program = join(pins.path, 'kind_prog');
  object.map('table').pin(map);
  object.program('tc_one').pin(program);
  expect(failure(() => BpfMap.openPinned(program)).message).toContain('it is a program, no map (EINVAL)');
  expect(failure(() => BpfProgram.openPinned(map)).message).toContain('it is a map, no program (EINVAL)');
  expect(failure(() => BpfLink.openPinned(map)).message).toContain('it is a map, no link (EINVAL)');
});

test('pin errors name the path and the way out', () => {
  const pin = join(pins.path, 'twice');
  object.map('table').pin(pin);
  const twice = failure(() => object.map('table').pin(pin));
  expect(twice.message).toBe(
    `pin map table at ${pin}: file exists (EEXIST). Something is pinned there: open it with openPinned, or remove that file.`,
  );
  const missing = failure(() => object.map('table').pin(join(pins.path, 'no', 'directory')));
  expect(missing.code).toBe('ENOENT');
  mkdirSync('/tmp/native-test-not-bpffs', { recursive: true });
  const elsewhere = failure(() => object.map('table').pin('/tmp/native-test-not-bpffs/table'));
  expect(elsewhere.message).toContain('A pin needs a directory on a mounted bpffs');
  rmSync('/tmp/native-test-not-bpffs', { recursive: true });
  const dots = failure(() => object.map('table').pin(join(pins.path, 'eth0.100')));
  expect(dots.code).toBe('EPERM');
  expect(dots.hint).toContain('a file name without dots');
});

test('tells bpffs from other file systems', () => {
  expect(isBpffs(pins.path)).toBe(true);
  expect(isBpffs('/tmp')).toBe(false);
  expect(isBpffs('/nonexistent')).toBe(false);
});
