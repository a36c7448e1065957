import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BpfError, BpfMap, BpfObject, MapType, packageRoot } from '../../src/native/index.js';
import { testObject } from './support/build.js';
import { frame, u32, u64 } from './support/bytes.js';
import { kernelFds } from './support/process.js';

const path = testObject('sample');

async function failure(promise: Promise<unknown>): Promise<BpfError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(BpfError);
  return error as BpfError;
}

test('loads an object: its maps and programs by name, in order', async () => {
  using object = await BpfObject.load({ path });
  expect(object.mapNames).toContain('table');
  expect(object.mapNames).toContain('.rodata');
  expect(object.programNames).toContain('tc_answer');
  expect(object.map('table')).toBe(object.map('table'));
  expect(object.map('table').info).toMatchObject({
    name: 'table',
    type: MapType.HASH,
    keySize: 8,
    valueSize: 16,
    maxEntries: 8,
  });
  expect(object.program('tc_answer').info).toMatchObject({ name: 'tc_answer', type: 3 });
  expect(object.program('tc_answer').info.tag).toMatch(/^[0-9a-f]{16}$/);
});

test('sets read-only variables by name before the load', async () => {
  const limits = new Uint8Array(16);
  limits[8] = 8; // limits.port
  using plain = await BpfObject.load({ path, programs: ['tc_answer'] });
  using other = await BpfObject.load({ path, rodata: { answer: u32(100), limits }, programs: ['tc_answer'] });
  expect(plain.program('tc_answer').testRun({ data: frame() }).retval).toBe(41);
  expect(other.program('tc_answer').testRun({ data: frame() }).retval).toBe(108);
});

test('refuses a variable of the wrong size or an unknown one, and names it', async () => {
  const short = await failure(BpfObject.load({ path, rodata: { answer: new Uint8Array(2) } }));
  expect(short.code).toBe('EINVAL');
  expect(short.message).toBe(`load object ${path}: variable "answer" is 4 bytes, got 2 (EINVAL)`);
  const unknown = await failure(BpfObject.load({ path, rodata: { anwser: u32(1) } }));
  expect(unknown.message).toContain('it has no read-only variable "anwser" (ENOENT)');
});

test('loads only the programs asked for', async () => {
  using object = await BpfObject.load({ path, programs: ['tc_one', 'xdp_count'] });
  expect(object.programNames).toEqual(['tc_one', 'xdp_count']);
  expect(() => object.program('tc_two')).toThrow(
    'has no loaded program "tc_two" (it has: tc_one, xdp_count)',
  );
  const error = await failure(BpfObject.load({ path, programs: ['tc_none'] }));
  expect(error.message).toContain('it has no program "tc_none" (ENOENT)');
});

test('changes the size of a map, and refuses a map that the object lacks', async () => {
  using object = await BpfObject.load({ path, programs: [], maxEntries: { table: 3 } });
  expect(object.map('table').info.maxEntries).toBe(3);
  const error = await failure(BpfObject.load({ path, maxEntries: { tabel: 3 } }));
  expect(error.message).toContain('it has no map "tabel" (ENOENT)');
});

test('shares a reused map between two objects; each has its own handle', async () => {
  using first = await BpfObject.load({ path, programs: ['tc_one'] });
  const second = await BpfObject.load({
    path,
    programs: ['tc_one'],
    reuseMaps: { counters: first.map('counters') },
  });
  second.program('tc_one').testRun({ data: frame(), repeat: 3 });
  expect(first.map('counters').lookup(u32(0))).toEqual(u64(3n));
  expect(second.map('counters').info.id).toBe(first.map('counters').info.id);
  second.close();
  expect(first.map('counters').lookup(u32(0))).toEqual(u64(3n));
});

test('refuses to reuse a map of another size, and one of the same size with other fields', async () => {
  using small = await BpfObject.load({ path, programs: [], maxEntries: { table: 3 } });
  const size = await failure(
    BpfObject.load({ path, programs: [], reuseMaps: { table: small.map('table') } }),
  );
  expect(size.code).toBe('EINVAL');
  expect(size.message).toContain('map table cannot be reused: max entries is 3, expected 8');

  using other = await BpfObject.load({ path: testObject('sample', 'SAMPLE_OTHER_LAYOUT'), programs: [] });
  const layout = await failure(
    BpfObject.load({ path, programs: [], reuseMaps: { table: other.map('table') } }),
  );
  expect(layout.message).toContain('value type is "first@0:__u64=u64", expected "first@0:__u32=u32"');
});

test('reuses device maps and ring buffers, whose flags and sizes the kernel adjusts', async () => {
  using first = await BpfObject.load({ path, programs: ['tc_emit'], maxEntries: { records: 5000 } });
  using second = await BpfObject.load({
    path,
    programs: ['tc_emit'],
    maxEntries: { records: 5000 },
    reuseMaps: { devices: first.map('devices'), records: first.map('records') },
  });
  expect(second.map('devices').info.id).toBe(first.map('devices').info.id);
  expect(second.map('records').info.maxEntries).toBe(8192);
});

test('shows why the verifier refused a program: last lines, whole log, count of what was left out', async () => {
  const error = await failure(BpfObject.load({ path: testObject('refused') }));
  expect(error.code).toBe('EACCES');
  expect(error.message).toContain(`load object ${testObject('refused')}: prog 'reads_null'`);
  expect(error.message).toMatch(/R\d invalid mem access 'map_value_or_null'/);
  expect(error.message).toMatch(/\(\d+ lines omitted\)/);
  expect(error.message).not.toContain('processed ');
  expect(error.log).toContain('processed ');
  expect(error.log?.split('\n').length).toBeGreaterThan(5);
  using fine = await BpfObject.load({ path: testObject('refused'), programs: ['is_fine'] });
  expect(fine.programNames).toEqual(['is_fine']);
});

test('says what is wrong with a missing file and with one that is no object', async () => {
  const missing = await failure(BpfObject.load({ path: '/nonexistent.bpf.o' }));
  expect(missing.message).toBe(
    'load object /nonexistent.bpf.o: no such file or directory (ENOENT). Check the path and names; build the object first if it is missing.',
  );
  const junk = join(packageRoot(), 'build', 'test', 'native', 'junk.bpf.o');
  writeFileSync(junk, 'this is no ELF file');
  const error = await failure(BpfObject.load({ path: junk }));
  expect(error.message).toContain(`load object ${junk}: `);
  expect(error.message).toMatch(/ELF/);
});

test('refuses misspelled options', async () => {
  await expect(BpfObject.load({ path, rodatta: {} } as never)).rejects.toThrow(
    'BpfObject.load: unknown option "rodatta" (known: path, rodata, reuseMaps, maxEntries, programs)',
  );
});

test('describes an object file without loading it', () => {
  const description = BpfObject.inspect(path);
  expect(description.maps.table).toMatchObject({
    type: MapType.HASH,
    keySize: 8,
    valueSize: 16,
    maxEntries: 8,
  });
  expect(description.maps.table?.btf?.key).toBe(
    'struct sample_key:8{port@0:__be16=__u16=u16 zone@2:__u16=u16 id@4:__u32=u32}',
  );
  expect(description.programs.find(({ name }) => name === 'tc_answer')).toMatchObject({
    section: 'tcx/ingress',
    type: 3,
  });
  expect(description.variables).toContainEqual({ section: '.rodata', name: 'answer', offset: 0, size: 4 });
});

test('leaves no descriptor behind, whether a load succeeds or fails', async () => {
  const before = kernelFds();
  for (let i = 0; i < 5; i++) {
    const object = await BpfObject.load({ path });
    const shared = BpfMap.openById(object.map('table').info.id);
    object.close();
    object.close();
    shared.close();
    await failure(BpfObject.load({ path: testObject('refused') }));
    await failure(BpfObject.load({ path, rodata: { answer: u32(1, 2) } }));
  }
  expect(kernelFds()).toEqual(before);
});
