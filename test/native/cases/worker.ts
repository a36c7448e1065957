// Body of a worker thread: opens one of everything and leaves it open, or ends in the middle of a call.
import { parentPort, workerData } from 'node:worker_threads';
import {
  BpfMap,
  BpfObject,
  membarrier,
  Netlink,
  openHandles,
  RingBuffer,
} from '../../../src/native/index.js';

const { object: path, mode, mapId } = workerData as { object: string; mode: string; mapId?: number };
if (!parentPort) throw new Error('not a worker');
const port = parentPort;

async function openEverything(): Promise<unknown[]> {
  const object = await BpfObject.load({ path });
  const words = new BigUint64Array(object.map('counters').mmap());
  words[12] = 99n;
  const ring = new RingBuffer(object.map('records'), () => {});
  const netlink = new Netlink();
  await netlink.dumpLinks();
  return [object, words, ring, netlink];
}

if (mode === 'leave-open') {
  const kept = await openEverything();
  port.postMessage({ open: openHandles() });
  // Ends by process.exit() of the worker with everything open.
  setTimeout(() => process.exit(kept.length), 10);
} else if (mode === 'terminate') {
  const kept = await openEverything();
  port.postMessage({ open: openHandles(), kept: kept.length });
} else if (mode === 'in-flight') {
  void BpfObject.load({ path });
  void membarrier();
  void new Netlink({ events: [] }).dumpRoutes();
  port.postMessage({ open: openHandles() });
} else if (mode === 'records') {
  const object = await BpfObject.load({ path, programs: ['tc_emit'] });
  let seen = 0;
  const ring = new RingBuffer(object.map('records'), () => {
    seen++;
    if (seen < 5) return;
    ring.close();
    object.close();
    port.postMessage({ seen, open: openHandles() });
  });
  object.program('tc_emit').testRun({ data: new Uint8Array(64), repeat: 5 });
} else if (mode === 'store') {
  // Stores through its own mapping of a map that the main thread reads.
  using map = BpfMap.openById(mapId ?? 0);
  const words = new BigUint64Array(map.mmap());
  const end = Date.now() + 300;
  let stores = 0;
  while (Date.now() < end) {
    for (let i = 0; i < 1000; i++, stores += 2) {
      words[0] = 0xffffffffffffffffn;
      words[0] = 0n;
    }
  }
  port.postMessage({ stores });
}
