/** What this room needs of src/native's BpfMap, so that tests can stand in for it. */
export interface MapHandle {
  readonly info: {
    id: number;
    name: string;
    type: number;
    keySize: number;
    valueSize: number;
    maxEntries: number;
    flags: number;
  };
  /** Bytes from one value to the next in the mapped memory of an array. */
  readonly valueStride: number;
  lookup(key: Uint8Array): Uint8Array | undefined;
  update(key: Uint8Array, value: Uint8Array, flags?: number): void;
  /** @returns false when there was no such key. */
  delete(key: Uint8Array): boolean;
  entries(): IterableIterator<[Uint8Array, Uint8Array]>;
  /** Keys and values back to back; @returns how many were written. */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number, flags?: number): number;
  deleteBatch(keys: Uint8Array, count: number): number;
  /** Shared read/write memory of an array map. */
  mmap(): ArrayBuffer;
  close(): void;
}

/** An open map by its ABI name. @throws Error when there is none. */
export type MapByName = (name: string) => MapHandle;

/** Something about the pinned state that the operator has to settle. */
export class DatapathError extends Error {
  override readonly name = 'DatapathError';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
