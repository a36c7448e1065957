/** Little helpers: the machine's byte order is the one of x86-64 and arm64. */
export function u32(...values: number[]): Uint8Array {
  const out = new Uint8Array(values.length * 4);
  const view = new DataView(out.buffer);
  for (const [i, value] of values.entries()) view.setUint32(i * 4, value, true);
  return out;
}

export function u64(...values: bigint[]): Uint8Array {
  const out = new Uint8Array(values.length * 8);
  const view = new DataView(out.buffer);
  for (const [i, value] of values.entries()) view.setBigUint64(i * 8, value, true);
  return out;
}

export function readU32(bytes: Uint8Array, index = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(index * 4, true);
}

export function readU64(bytes: Uint8Array, index = 0): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(index * 8, true);
}

/** A minimal Ethernet frame of 64 bytes with IPv4 as type. */
export function frame(length = 64): Uint8Array {
  const out = new Uint8Array(length);
  out[12] = 8;
  return out;
}

/** `struct __sk_buff` with a mark: offset 8 of its 192 bytes. */
export function skbWithMark(mark: number): Uint8Array {
  const ctx = new Uint8Array(192);
  new DataView(ctx.buffer).setUint32(8, mark, true);
  return ctx;
}
