import { afterEach, beforeEach, expect, test } from 'vitest';
import { BpfObject, RingBuffer } from '../../src/native/index.js';
import { testObject } from './support/build.js';
import { frame, readU32, readU64 } from './support/bytes.js';
import { kernelFds, sleep, until } from './support/process.js';

let object: BpfObject;

beforeEach(async () => {
  object = await BpfObject.load({ path: testObject('sample'), programs: ['tc_emit'] });
});
afterEach(() => object.close());

const emit = (count: number) => object.program('tc_emit').testRun({ data: frame(), repeat: count });

test('delivers records in order, each a copy to keep', async () => {
  const records: Uint8Array[] = [];
  using _ring = new RingBuffer(object.map('records'), (record) => records.push(record));
  emit(3);
  expect(records).toEqual([]); // not before the event loop turns
  await until(() => records.length === 3);
  emit(2);
  await until(() => records.length === 5);
  expect(records.map((record) => readU32(record, 2))).toEqual([0, 1, 2, 3, 4]);
  expect(records.map((record) => readU64(record))).toEqual(new Array(5).fill(0x1122334455667788n));
});

test('takes a bounded number of records in one turn of the loop', async () => {
  let turn = 0;
  const perTurn = new Map<number, number>();
  using _ring = new RingBuffer(object.map('records'), () => perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1), {
    maxPerWakeup: 10,
  });
  emit(95);
  while ([...perTurn.values()].reduce((a, b) => a + b, 0) < 95) {
    await new Promise((resolve) => setImmediate(resolve));
    turn++;
  }
  expect(Math.max(...perTurn.values())).toBe(10);
});

test('records that find no room are lost in the program, the others arrive', async () => {
  let seen = 0;
  using _ring = new RingBuffer(object.map('records'), () => seen++);
  emit(10_000); // 65536 bytes hold 2730 records of 24
  await until(() => seen >= 2730);
  emit(5);
  await until(() => seen === 2735);
});

test('close() from within a record is the last one, and frees everything', async () => {
  const before = kernelFds();
  let seen = 0;
  const ring = new RingBuffer(object.map('records'), () => {
    seen++;
    if (seen === 2) ring.close();
  });
  emit(10);
  await until(() => seen === 2);
  await sleep(20);
  expect(seen).toBe(2);
  expect(ring.closed).toBe(true);
  ring.close();
  expect(() => ring.consume()).toThrow('use ring buffer records: it is closed (EBADF)');
  expect(kernelFds()).toEqual(before);
});

test('consume() takes what is there without the loop', () => {
  using ring = new RingBuffer(object.map('records'), () => {
    throw new Error('not by the loop');
  });
  emit(4);
  expect(ring.consume().length).toBe(4);
  expect(ring.consume()).toEqual([]);
});

test('the reader works on when the map was closed', async () => {
  let seen = 0;
  using _ring = new RingBuffer(object.map('records'), () => seen++);
  object.map('records').close();
  emit(2);
  await until(() => seen === 2);
});

test('an error in the callback becomes an uncaughtException and loses no other record', async () => {
  const errors: unknown[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => errors.push(error));
  try {
    let seen = 0;
    using _ring = new RingBuffer(object.map('records'), () => {
      if (seen++ === 0) throw new Error('from the callback');
    });
    emit(3);
    await until(() => seen === 3 && errors.length === 1);
    expect(String(errors[0])).toBe('Error: from the callback');
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  }
});

test('a map of another type is refused', () => {
  expect(() => new RingBuffer(object.map('counters'), () => {})).toThrow(
    /read ring buffer counters: .*EINVAL/,
  );
});
