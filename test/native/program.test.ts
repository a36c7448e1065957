import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfObject, BpfProgram } from '../../src/native/index.js';
import { testObject } from './support/build.js';
import { frame, readU32, readU64, skbWithMark, u32 } from './support/bytes.js';

let object: BpfObject;

beforeAll(async () => {
  object = await BpfObject.load({ path: testObject('sample') });
});
afterAll(() => object.close());

test('a tc program runs on a frame with a struct __sk_buff and gives both back', () => {
  const result = object.program('tc_answer').testRun({ data: frame(80), ctx: skbWithMark(6) });
  expect(result.retval).toBe(41);
  expect(result.data).toEqual(frame(80));
  expect(readU32(result.ctx ?? new Uint8Array(192), 2)).toBe(7);
});

test('verdicts are signed, as in the program', () => {
  expect(object.program('tc_one').testRun({ data: frame() }).retval).toBe(-1);
});

test('an XDP program that grows the frame, with a struct xdp_md', () => {
  const data = frame(100);
  // data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; lo is device 1
  const ctx = u32(0, data.length, 0, 1, 0, 0);
  const result = object.program('xdp_grow').testRun({ data, ctx });
  expect(result.retval).toBe(3);
  expect(result.data.length).toBe(108);
  expect(result.data.subarray(8)).toEqual(data);
  expect(readU64(object.map('counters').lookup(u32(5)) ?? new Uint8Array(8))).toBe(1n);
});

test('repeat runs the program that often and reports the mean', () => {
  const before = readU64(object.map('counters').lookup(u32(2)) ?? new Uint8Array(8));
  const result = object.program('xdp_count').testRun({ data: frame(), repeat: 1000 });
  expect(readU64(object.map('counters').lookup(u32(2)) ?? new Uint8Array(8)) - before).toBe(1000n);
  expect(result.durationNs).toBeLessThan(1_000_000);
});

test('a program array takes the descriptor of a program', () => {
  expect(object.program('tc_tail').testRun({ data: frame() }).retval).toBe(7);
  object.map('next').update(u32(0), u32(object.program('tc_answer').fd));
  expect(object.program('tc_tail').testRun({ data: frame() }).retval).toBe(41);
});

test('too short a frame is refused by the kernel, with the program named', () => {
  expect(() => object.program('tc_one').testRun({ data: new Uint8Array(4) })).toThrow(
    'test-run program tc_one: invalid argument (EINVAL)',
  );
});

test('info lists the maps that the program uses, and opens by id', () => {
  const { mapIds, id } = object.program('tc_one').info;
  expect(mapIds).toContain(object.map('counters').info.id);
  using again = BpfProgram.openById(id);
  expect(again.info.name).toBe('tc_one');
});

test('a closed program refuses by name', async () => {
  const other = await BpfObject.load({ path: testObject('sample'), programs: ['tc_one'] });
  const program = other.program('tc_one');
  other.close();
  expect(() => program.testRun({ data: frame() })).toThrow('use program tc_one: it is closed (EBADF)');
  expect(() => program.testRun({ data: frame(), reapeat: 2 } as never)).toThrow('unknown option "reapeat"');
});
