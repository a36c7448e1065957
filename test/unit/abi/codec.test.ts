import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addrToBytes, bytesToAddr, isAddr } from '../../../src/abi/addr.js';
import type { Btf, BtfType } from '../../../src/abi/btf.js';
import { compileCodec } from '../../../src/abi/codec.js';
import { enumName, flagNames, shortName } from '../../../src/abi/enums.js';
import { structLayout } from '../../../src/abi/layout.js';

const U8: BtfType = { kind: 'int', name: 'unsigned char', size: 1, signed: false, bits: 8, offset: 0 };
const U16: BtfType = { kind: 'int', name: 'unsigned short', size: 2, signed: false, bits: 16, offset: 0 };
const U32: BtfType = { kind: 'int', name: 'unsigned int', size: 4, signed: false, bits: 32, offset: 0 };
const U64: BtfType = { kind: 'int', name: 'unsigned long', size: 8, signed: false, bits: 64, offset: 0 };
const CHAR: BtfType = { kind: 'int', name: 'char', size: 1, signed: true, bits: 8, offset: 0 };

/** Types 1..n; the struct under test comes last. */
function btf(...types: BtfType[]): Btf {
  return { littleEndian: true, types: [{ kind: 'void' }, ...types] };
}

function struct(
  size: number,
  ...members: [name: string, type: number, offset: number, bits?: number][]
): BtfType {
  return {
    kind: 'struct',
    name: 'thing',
    size,
    members: members.map(([name, type, offset, bits]) => ({
      name,
      type,
      bitOffset: offset * 8,
      bitSize: bits ?? 0,
    })),
  };
}

describe('struct layouts', () => {
  it('refuse a gap between two fields and at the end', () => {
    expect(() => structLayout(btf(U8, U32, struct(8, ['a', 1, 0], ['b', 2, 4])), 3)).toThrow(
      'read layout of thing: bytes 1..3 belong to no field (EINVAL)',
    );
    expect(() => structLayout(btf(U32, U8, struct(8, ['a', 1, 0], ['b', 2, 4])), 3)).toThrow('bytes 5..7');
  });

  it('refuse overlapping fields, bit fields, unions and pointers', () => {
    expect(() => structLayout(btf(U32, struct(4, ['a', 1, 0], ['b', 1, 0])), 2)).toThrow(
      'belong to no field',
    );
    expect(() => structLayout(btf(U32, struct(4, ['a', 1, 0, 3])), 2)).toThrow('thing.a: bit fields');
    const union: BtfType = { kind: 'union', name: 'either', size: 4, members: [] };
    expect(() => structLayout(btf(union, struct(4, ['a', 1, 0])), 2)).toThrow('thing.a: union');
    const pointer: BtfType = { kind: 'ptr', name: '', type: 0 };
    expect(() => structLayout(btf(pointer, struct(8, ['a', 1, 0])), 2)).toThrow('thing.a: ptr');
  });

  it('encode by typedef name: __be16 in network order, the rest in host order', () => {
    const be16: BtfType = { kind: 'typedef', name: '__be16', type: 1 };
    const text: BtfType = { kind: 'array', type: 4, count: 4 };
    const bytes: BtfType = { kind: 'array', type: 7, count: 3 };
    const layout = structLayout(
      btf(
        U16,
        be16,
        U64,
        CHAR,
        text,
        bytes,
        U8,
        struct(
          20,
          ['port', 2, 0],
          ['plain', 1, 2],
          ['name', 5, 4],
          ['big', 3, 8],
          ['mac', 6, 16],
          ['pad', 7, 19],
        ),
      ),
      8,
    );
    const codec = compileCodec<Record<string, unknown>>(
      { kind: 'struct', layout },
      layout.size,
      'thing',
      true,
    );
    const value = { port: 80, plain: 258, name: 'abc', big: 1n, mac: Uint8Array.of(7, 8, 9) };
    const encoded = codec.encode(value, new Uint8Array(20).fill(0xee));
    expect([...encoded]).toEqual([0, 80, 2, 1, 97, 98, 99, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9, 0]);
    expect(codec.decode(encoded)).toEqual(value);
    expect(() => codec.encode({ ...value, port: 65536 })).toThrow(
      'encode thing.port: 65536 is not an integer',
    );
    expect(() => codec.encode({ ...value, name: 'abcde' })).toThrow('thing.name');
    expect(() => codec.encode({ ...value, big: 1 })).toThrow('thing.big');
    expect(() => codec.encode({ ...value, plain: undefined })).toThrow('thing.plain');
  });
});

describe('addresses', () => {
  it('have one text each', () => {
    const cases: [string, string][] = [
      ['10.0.0.1', '10.0.0.1'],
      ['0.0.0.0', '0.0.0.0'],
      ['::', '::'],
      ['::1', '::1'],
      ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ];
    for (const [text, canonical] of cases) expect(bytesToAddr(addrToBytes(text))).toBe(canonical);
  });

  it('put IPv4 behind ::ffff:', () => {
    expect([...addrToBytes('1.2.3.4')]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]);
  });

  it('refuse what is not one, the mapped form included', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.256',
      '01.2.3.4',
      '1.2.3.4.5',
      '1..2.3',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      '::ffff:1.2.3.4',
      '::ffff:102:304',
      'g::',
      '12345::',
    ]) {
      expect(isAddr(text), text).toBe(false);
      expect(() => addrToBytes(text), text).toThrow('not an IP address (EINVAL)');
    }
  });

  it('survive bytes -> text -> bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect([...addrToBytes(bytesToAddr(bytes))]).toEqual([...bytes]);
      }),
    );
    fc.assert(fc.property(fc.ipV4(), (text) => bytesToAddr(addrToBytes(text)) === text));
  });
});

describe('enum names', () => {
  const table = { F_A: 1, F_B: 2, F_C: 8 };
  it('name values and bits, and show what they do not know', () => {
    expect(enumName(table, 2)).toBe('F_B');
    expect(enumName(table, 77)).toBe('77');
    expect(flagNames(table, 3 | 8 | 0x80000000)).toEqual(['F_A', 'F_B', 'F_C', '0x80000000']);
    expect(shortName('DROP_REASON_STALE', 'DROP_REASON_')).toBe('stale');
  });
});
