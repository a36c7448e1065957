import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { BpfError, BpfObject, Netlink } from '../../../src/native/index.js';
import type { CaseContext } from './context.js';

/** Through rtnetlink: /sys shows the namespace it was mounted in, not this one. */
export async function ifindexOf(device: string): Promise<number> {
  using netlink = new Netlink({ events: [] });
  const link = (await netlink.dumpLinks()).find(({ name }) => name === device);
  assert.ok(link, `no ${device}`);
  return link.ifindex;
}

/** Run in the other namespace: a datagram to us. */
export const RECEIVED_HERE =
  "const s = require('node:dgram').createSocket('udp4'); s.send('x', 9, '10.77.0.1', () => s.close())";

/** Makes the device send: a datagram to a neighbour. */
export async function send(): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) =>
    socket.send('x', 9, '10.77.0.2', (error) => (error ? reject(error) : resolve())),
  );
  await sleep(50);
  socket.close();
}

export function counter(object: BpfObject, index: number): number {
  const value = object.map('counters').lookup(new Uint8Array([index, 0, 0, 0]));
  return Number(new DataView((value as Uint8Array).buffer).getBigUint64(0, true));
}

export function setCounter(object: BpfObject, index: number, value: bigint): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  object.map('counters').update(new Uint8Array([index, 0, 0, 0]), bytes);
}

export function refusal(body: () => unknown): BpfError {
  try {
    body();
  } catch (error) {
    assert.ok(error instanceof BpfError, String(error));
    return error;
  }
  assert.fail('nothing was thrown');
}

export const load = (context: CaseContext) => BpfObject.load({ path: context.object });
