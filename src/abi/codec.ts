/**
 * Layout -> encode and decode closures, compiled once. For system-call buffers only: stores into
 * mapped maps go through typed-array elements (a DataView store may tear).
 */
import { addrToBytes, bytesToAddr } from './addr.js';
import type { Shape, StructLayout } from './layout.js';

export interface Codec<T> {
  /** Bytes on the wire between user space and the map. */
  readonly size: number;
  /**
   * Encodes into `into` at `at`, or into fresh bytes.
   * @throws RangeError naming the field when a value does not fit.
   */
  encode(value: T, into?: Uint8Array, at?: number): Uint8Array;
  decode(bytes: Uint8Array, at?: number): T;
}

type Write = (view: DataView, bytes: Uint8Array, at: number, value: unknown) => void;
type Read = (view: DataView, bytes: Uint8Array, at: number) => unknown;
interface Access {
  write: Write;
  read: Read;
}

/** Codec of any shape; `where` names it in errors. */
export function compileCodec<T>(shape: Shape, size: number, where: string, littleEndian: boolean): Codec<T> {
  const access = compile(shape, where, littleEndian);
  return {
    size,
    encode(value, into = new Uint8Array(size), at = 0) {
      if (at + size > into.length) throw new RangeError(`encode ${where}: buffer is too short (ENOSPC).`);
      access.write(new DataView(into.buffer, into.byteOffset, into.byteLength), into, at, value);
      return into;
    },
    decode(bytes, at = 0) {
      if (at + size > bytes.length) throw new RangeError(`decode ${where}: ${bytes.length} bytes (EINVAL).`);
      return access.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes, at) as T;
    },
  };
}

function compile(shape: Shape, where: string, le: boolean): Access {
  switch (shape.kind) {
    case 'int':
    case 'enum':
      return compileInt(shape.bits, shape.kind === 'int' && shape.signed, where, le);
    case 'be':
      return shape.bits === 64
        ? compileBig(false, where, false)
        : compileInt(shape.bits, false, where, false);
    case 'u64':
      return compileBig(shape.signed, where, le);
    case 'addr':
      return {
        write: (_view, bytes, at, value) => {
          if (typeof value !== 'string') throw wrong(where, value, 'address text');
          addrToBytes(value, bytes, at);
        },
        read: (_view, bytes, at) => bytesToAddr(bytes, at),
      };
    case 'text':
      return compileText(shape.length, where);
    case 'bytes':
      return {
        write: (_view, bytes, at, value) => {
          if (!(value instanceof Uint8Array) || value.length !== shape.length) {
            throw wrong(where, value, `${shape.length} bytes`);
          }
          bytes.set(value, at);
        },
        read: (_view, bytes, at) => bytes.slice(at, at + shape.length),
      };
    case 'array': {
      const element = compile(shape.element, `${where}[]`, le);
      return {
        write: (view, bytes, at, value) => {
          if (!Array.isArray(value) || value.length !== shape.count) {
            throw wrong(where, value, `${shape.count} elements`);
          }
          for (let i = 0; i < shape.count; i++)
            element.write(view, bytes, at + i * shape.stride, (value as unknown[])[i]);
        },
        read: (view, bytes, at) =>
          Array.from({ length: shape.count }, (_, i) => element.read(view, bytes, at + i * shape.stride)),
      };
    }
    case 'struct':
      return compileStruct(shape.layout, le);
  }
}

function compileStruct(layout: StructLayout, le: boolean): Access {
  const fields = layout.fields
    .filter((f) => !f.padding)
    .map((f) => ({ name: f.name, offset: f.offset, ...compile(f.shape, `${layout.name}.${f.name}`, le) }));
  const padding = layout.fields.filter((f) => f.padding);
  return {
    write: (view, bytes, at, value) => {
      if (typeof value !== 'object' || value === null) throw wrong(layout.name, value, 'an object');
      const record = value as Record<string, unknown>;
      for (const f of fields) f.write(view, bytes, at + f.offset, record[f.name]);
      for (const p of padding) bytes.fill(0, at + p.offset, at + p.offset + p.size);
    },
    read: (view, bytes, at) => {
      const record: Record<string, unknown> = {};
      for (const f of fields) record[f.name] = f.read(view, bytes, at + f.offset);
      return record;
    },
  };
}

function compileInt(bits: 8 | 16 | 32, signed: boolean, where: string, le: boolean): Access {
  const min = signed ? -(2 ** (bits - 1)) : 0;
  const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  const check = (value: unknown): number => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw wrong(where, value, `an integer of ${min}..${max}`);
    }
    return value;
  };
  // A negative number stored into an unsigned slot of the same width has the wanted bits.
  switch (bits) {
    case 8:
      return {
        write: (view, _bytes, at, value) => view.setUint8(at, check(value)),
        read: signed ? (view, _bytes, at) => view.getInt8(at) : (view, _bytes, at) => view.getUint8(at),
      };
    case 16:
      return {
        write: (view, _bytes, at, value) => view.setUint16(at, check(value), le),
        read: signed
          ? (view, _bytes, at) => view.getInt16(at, le)
          : (view, _bytes, at) => view.getUint16(at, le),
      };
    case 32:
      return {
        write: (view, _bytes, at, value) => view.setUint32(at, check(value), le),
        read: signed
          ? (view, _bytes, at) => view.getInt32(at, le)
          : (view, _bytes, at) => view.getUint32(at, le),
      };
  }
}

function compileBig(signed: boolean, where: string, le: boolean): Access {
  const min = signed ? -(1n << 63n) : 0n;
  const max = signed ? (1n << 63n) - 1n : (1n << 64n) - 1n;
  return {
    write: (view, _bytes, at, value) => {
      if (typeof value !== 'bigint' || value < min || value > max)
        throw wrong(where, value, 'a 64-bit bigint');
      view.setBigUint64(at, value, le);
    },
    read: signed
      ? (view, _bytes, at) => view.getBigInt64(at, le)
      : (view, _bytes, at) => view.getBigUint64(at, le),
  };
}

function compileText(length: number, where: string): Access {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  return {
    write: (_view, bytes, at, value) => {
      if (typeof value !== 'string') throw wrong(where, value, 'text');
      const encoded = encoder.encode(value);
      if (encoded.length > length || encoded.includes(0)) {
        throw wrong(where, value, `text of at most ${length} bytes`);
      }
      bytes.fill(0, at, at + length);
      bytes.set(encoded, at);
    },
    read: (_view, bytes, at) => {
      let end = at;
      while (end < at + length && bytes[end] !== 0) end++;
      return decoder.decode(bytes.subarray(at, end));
    },
  };
}

function wrong(where: string, value: unknown, wanted: string): RangeError {
  const shown = typeof value === 'object' ? typeof value : String(value);
  return new RangeError(`encode ${where}: ${shown} is not ${wanted} (ERANGE).`);
}
