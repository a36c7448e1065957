/**
 * Reads BTF (the type information in the `.BTF` section of a BPF object) into plain types.
 * Only kinds that clang emits for BPF objects are known; an unknown kind is an error, since the
 * length of its record would be a guess.
 */
import { cString } from './elf.js';

export type BtfType =
  | { kind: 'void' }
  | { kind: 'int'; name: string; size: number; signed: boolean; bits: number; offset: number }
  | { kind: 'ptr' | 'const' | 'volatile' | 'restrict' | 'typeTag'; name: string; type: number }
  | { kind: 'typedef'; name: string; type: number }
  | { kind: 'array'; type: number; count: number }
  | { kind: 'struct' | 'union'; name: string; size: number; members: BtfMember[] }
  | { kind: 'enum'; name: string; size: number; values: { name: string; value: bigint }[] }
  | { kind: 'var'; name: string; type: number }
  | { kind: 'datasec'; name: string; vars: { type: number; offset: number; size: number }[] }
  | { kind: 'func' | 'proto' | 'fwd' | 'float' | 'declTag'; name: string };

export interface BtfMember {
  name: string;
  type: number;
  bitOffset: number;
  /** Not 0: a bit field of this many bits. */
  bitSize: number;
}

export interface Btf {
  littleEndian: boolean;
  /** Index is the type id; 0 is void. */
  types: BtfType[];
}

const KINDS = [
  'void',
  'int',
  'ptr',
  'array',
  'struct',
  'union',
  'enum',
  'fwd',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'func',
  'proto',
  'var',
  'datasec',
  'float',
  'declTag',
  'typeTag',
  'enum64',
] as const;

/**
 * Parses a `.BTF` section.
 * @throws Error when the bytes are not BTF or hold an unknown kind.
 */
export function readBtf(bytes: Uint8Array): Btf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 24) throw new Error('read BTF: section is too short (EINVAL).');
  const le = view.getUint16(0, true) === 0xeb9f;
  if (!le && view.getUint16(0, false) !== 0xeb9f) throw new Error('read BTF: wrong magic (EINVAL).');
  const u32 = (at: number) => view.getUint32(at, le);
  const header = u32(4);
  const typesAt = header + u32(8);
  const typesEnd = typesAt + u32(12);
  const strings = bytes.subarray(header + u32(16), header + u32(16) + u32(20));
  const text = (at: number) => cString(strings, at);

  const types: BtfType[] = [{ kind: 'void' }];
  let at = typesAt;
  while (at < typesEnd) {
    const name = text(u32(at));
    const info = u32(at + 4);
    const sizeOrType = u32(at + 8);
    const count = info & 0xffff;
    const flag = info >>> 31 === 1;
    const kind = KINDS[(info >>> 24) & 0x1f];
    at += 12;
    switch (kind) {
      case 'int': {
        const word = u32(at);
        at += 4;
        types.push({
          kind,
          name,
          size: sizeOrType,
          signed: ((word >>> 24) & 1) === 1,
          bits: word & 0xff,
          offset: (word >>> 16) & 0xff,
        });
        break;
      }
      case 'array':
        types.push({ kind, type: u32(at), count: u32(at + 8) });
        at += 12;
        break;
      case 'struct':
      case 'union': {
        const members: BtfMember[] = [];
        for (let i = 0; i < count; i++, at += 12) {
          const offset = u32(at + 8);
          members.push({
            name: text(u32(at)),
            type: u32(at + 4),
            bitOffset: flag ? offset & 0xffffff : offset,
            bitSize: flag ? offset >>> 24 : 0,
          });
        }
        types.push({ kind, name, size: sizeOrType, members });
        break;
      }
      case 'enum': {
        const values = [];
        for (let i = 0; i < count; i++, at += 8) {
          const value = flag ? view.getInt32(at + 4, le) : u32(at + 4);
          values.push({ name: text(u32(at)), value: BigInt(value) });
        }
        types.push({ kind, name, size: sizeOrType, values });
        break;
      }
      case 'enum64': {
        const values = [];
        for (let i = 0; i < count; i++, at += 12) {
          const value = (BigInt(u32(at + 8)) << 32n) | BigInt(u32(at + 4));
          values.push({ name: text(u32(at)), value: flag ? BigInt.asIntN(64, value) : value });
        }
        types.push({ kind: 'enum', name, size: sizeOrType, values });
        break;
      }
      case 'ptr':
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'typeTag':
      case 'typedef':
        types.push({ kind, name, type: sizeOrType });
        break;
      case 'var':
        types.push({ kind, name, type: sizeOrType });
        at += 4;
        break;
      case 'datasec': {
        const vars = [];
        for (let i = 0; i < count; i++, at += 12) {
          vars.push({ type: u32(at), offset: u32(at + 4), size: u32(at + 8) });
        }
        types.push({ kind, name, vars });
        break;
      }
      case 'proto':
        at += count * 8;
        types.push({ kind, name });
        break;
      case 'declTag':
        at += 4;
        types.push({ kind, name });
        break;
      case 'func':
      case 'fwd':
      case 'float':
        types.push({ kind, name });
        break;
      default:
        throw new Error(`read BTF: unknown kind ${(info >>> 24) & 0x1f} of type ${types.length} (ENOTSUP).`);
    }
  }
  return { littleEndian: le, types };
}

/** Follows const, volatile, restrict and type tags, but not typedefs. */
export function skipQualifiers(btf: Btf, id: number): number {
  for (let at = id; ; ) {
    const type = typeOf(btf, at);
    if (
      type.kind !== 'const' &&
      type.kind !== 'volatile' &&
      type.kind !== 'restrict' &&
      type.kind !== 'typeTag'
    ) {
      return at;
    }
    at = type.type;
  }
}

export function typeOf(btf: Btf, id: number): BtfType {
  const type = btf.types[id];
  if (!type) throw new Error(`read BTF: no type ${id} (EINVAL).`);
  return type;
}

/** Variables of a data section such as `.maps` or `.rodata`: name -> type id. */
export function sectionVariables(btf: Btf, section: string): Map<string, number> {
  const result = new Map<string, number>();
  for (const type of btf.types) {
    if (type.kind !== 'datasec' || type.name !== section) continue;
    for (const entry of type.vars) {
      const variable = typeOf(btf, entry.type);
      if (variable.kind === 'var') result.set(variable.name, variable.type);
    }
  }
  return result;
}
