/**
 * BTF struct -> layout: named fields with offset, size and how their bytes read. Refuses what would
 * make two equal values differ in bytes or not be read at all: gaps, bit fields, unions, pointers.
 */
import { type Btf, skipQualifiers, typeOf } from './btf.js';

export type Shape =
  /** Host order, `bits` of 8, 16 or 32. */
  | { kind: 'int'; bits: 8 | 16 | 32; signed: boolean }
  | { kind: 'u64'; signed: boolean }
  /** Network order, by typedef name `__be16` / `__be32` / `__be64`. */
  | { kind: 'be'; bits: 16 | 32 | 64 }
  /** `struct lb_addr`: canonical address text. */
  | { kind: 'addr' }
  /** `char[N]`: NUL-padded UTF-8. */
  | { kind: 'text'; length: number }
  /** `__u8[N]` */
  | { kind: 'bytes'; length: number }
  | { kind: 'array'; element: Shape; count: number; stride: number }
  | { kind: 'struct'; layout: StructLayout }
  | { kind: 'enum'; name: string; bits: 8 | 16 | 32 };

export interface Field {
  name: string;
  /** Bytes from the start of the struct. */
  offset: number;
  size: number;
  shape: Shape;
  /** Explicit padding (`pad`, `pad1`, ...): written as zero, not part of the object. */
  padding: boolean;
}

export interface StructLayout {
  name: string;
  size: number;
  fields: Field[];
}

/** @throws Error naming struct and field when the type cannot be part of the ABI. */
export function structLayout(btf: Btf, id: number): StructLayout {
  const type = typeOf(btf, skipQualifiers(btf, id));
  if (type.kind !== 'struct') throw new Error(`read layout of type ${id}: not a struct (EINVAL).`);
  const fields: Field[] = [];
  let end = 0;
  for (const member of type.members) {
    const where = `${type.name}.${member.name || '(anonymous)'}`;
    if (member.bitSize !== 0 || member.bitOffset % 8 !== 0) {
      throw new Error(`read layout of ${where}: bit fields have no place in the ABI (ENOTSUP).`);
    }
    const offset = member.bitOffset / 8;
    if (offset !== end) throw gap(type.name, end, offset);
    const { shape, size } = shapeOf(btf, member.type, where);
    fields.push({ name: member.name, offset, size, shape, padding: /^pad\d*$/.test(member.name) });
    end = offset + size;
  }
  if (end !== type.size) throw gap(type.name, end, type.size);
  return { name: type.name, size: type.size, fields };
}

function gap(struct: string, from: number, to: number): Error {
  return new Error(
    `read layout of ${struct}: bytes ${from}..${to - 1} belong to no field (EINVAL). Declare a pad field: equal keys would differ in bytes nobody sees.`,
  );
}

/** Shape and size in bytes of any type that may be a key, value or field. */
export function shapeOf(btf: Btf, id: number, where: string): { shape: Shape; size: number } {
  for (let at = skipQualifiers(btf, id); ; ) {
    const type = typeOf(btf, at);
    switch (type.kind) {
      case 'typedef':
        if (type.name === '__be16') return { shape: { kind: 'be', bits: 16 }, size: 2 };
        if (type.name === '__be32') return { shape: { kind: 'be', bits: 32 }, size: 4 };
        if (type.name === '__be64') return { shape: { kind: 'be', bits: 64 }, size: 8 };
        at = skipQualifiers(btf, type.type);
        continue;
      case 'int':
        if (type.size === 8) return { shape: { kind: 'u64', signed: type.signed }, size: 8 };
        return {
          shape: { kind: 'int', bits: intBits(type.size, where), signed: type.signed },
          size: type.size,
        };
      case 'enum':
        return { shape: { kind: 'enum', name: type.name, bits: intBits(type.size, where) }, size: type.size };
      case 'array':
        return arrayShape(btf, type.type, type.count, where);
      case 'struct':
        if (type.name === 'lb_addr') return { shape: { kind: 'addr' }, size: type.size };
        return { shape: { kind: 'struct', layout: structLayout(btf, at) }, size: type.size };
      default:
        throw new Error(`read layout of ${where}: ${type.kind} has no place in the ABI (ENOTSUP).`);
    }
  }
}

function arrayShape(btf: Btf, element: number, count: number, where: string): { shape: Shape; size: number } {
  const bare = typeOf(btf, skipQualifiers(btf, element));
  if (bare.kind === 'int' && bare.name === 'char')
    return { shape: { kind: 'text', length: count }, size: count };
  const { shape, size } = shapeOf(btf, element, where);
  if (shape.kind === 'int' && shape.bits === 8 && !shape.signed) {
    return { shape: { kind: 'bytes', length: count }, size: count };
  }
  return { shape: { kind: 'array', element: shape, count, stride: size }, size: size * count };
}

function intBits(size: number, where: string): 8 | 16 | 32 {
  if (size === 1 || size === 2 || size === 4) return (size * 8) as 8 | 16 | 32;
  throw new Error(`read layout of ${where}: integer of ${size} bytes (ENOTSUP).`);
}

/** Byte offset of a field, for code that reads one word without decoding the rest. */
export function fieldOffset(layout: StructLayout, name: string): number {
  const field = layout.fields.find((f) => f.name === name);
  if (!field) throw new Error(`read layout of ${layout.name}: no field ${name} (EINVAL).`);
  return field.offset;
}

/** One word for a shape, as in the layout goldens: `u32`, `be16`, `addr`, `char[64]`, ... */
export function shapeText(shape: Shape): string {
  switch (shape.kind) {
    case 'int':
      return `${shape.signed ? 's' : 'u'}${shape.bits}`;
    case 'u64':
      return shape.signed ? 's64' : 'u64';
    case 'be':
      return `be${shape.bits}`;
    case 'addr':
      return 'addr';
    case 'text':
      return `char[${shape.length}]`;
    case 'bytes':
      return `u8[${shape.length}]`;
    case 'array':
      return `${shapeText(shape.element)}[${shape.count}]`;
    case 'struct':
      return shape.layout.name;
    case 'enum':
      return `enum ${shape.name}`;
  }
}

/** Stable text of a layout, one line per field. */
export function layoutText(layout: StructLayout): string {
  const lines = layout.fields.map((f) => `  ${String(f.offset).padStart(4)} ${shapeText(f.shape)} ${f.name}`);
  return [`struct ${layout.name} ${layout.size}`, ...lines].join('\n');
}
