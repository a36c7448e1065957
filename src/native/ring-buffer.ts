import { addon, type Bytes, type NativeRingBuffer } from './addon.js';
import type { BpfMap } from './map.js';
import { checkInteger, checkOptions } from './options.js';

export interface RingBufferOptions {
  /** Records taken in one turn of the event loop, default 256: a flood must not starve everything else. */
  maxPerWakeup?: number;
}

/**
 * Reads a `BPF_MAP_TYPE_RINGBUF` on the event loop of this thread; no thread of its own. Each record is a copy and
 * may be kept. An error thrown by `onRecord` becomes an uncaughtException and does not stop the others.
 * An open reader keeps the process alive, until {@link unref}.
 */
export class RingBuffer implements Disposable {
  private readonly handle: NativeRingBuffer;

  constructor(map: BpfMap, onRecord: (data: Bytes) => void, options: RingBufferOptions = {}) {
    checkOptions('RingBuffer', options, ['maxPerWakeup']);
    const max = checkInteger('RingBuffer', 'maxPerWakeup', options.maxPerWakeup ?? 256, 1);
    const RingBufferClass = addon().RingBuffer;
    this.handle = new RingBufferClass(map.handle, (records) => this.deliver(records, onRecord), max);
  }

  private deliver(records: Bytes[], onRecord: (data: Bytes) => void): void {
    for (const record of records) {
      if (this.closed) return;
      try {
        onRecord(record);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Takes what is there now (at most `maxPerWakeup` records) without waiting for the event loop. */
  consume(): Bytes[] {
    return this.handle.consume();
  }

  ref(): this {
    this.handle.setRef(true);
    return this;
  }

  /** Lets the process end while this reader is open. */
  unref(): this {
    this.handle.setRef(false);
    return this;
  }

  get closed(): boolean {
    return this.handle.closed;
  }

  /** No record is delivered after this, also when called from `onRecord`. Idempotent. */
  close(): void {
    this.handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
