/**
 * The whole ABI of an object: its maps with key and value codecs, the structs and enums they use.
 * Everything comes from the object's BTF; nothing is written down twice.
 */
import { type Btf, readBtf, sectionVariables, skipQualifiers, typeOf } from './btf.js';
import { type Codec, compileCodec } from './codec.js';
import { readElf } from './elf.js';
import type { MapKey, MapName, MapValue, StructTable } from './generated.js';
import { layoutText, type Shape, type StructLayout, shapeOf, shapeText, structLayout } from './layout.js';

export interface MapDefinition {
  name: string;
  /** BPF_MAP_TYPE_* */
  type: number;
  maxEntries: number;
  /** BPF_F_* */
  flags: number;
  /** undefined: a ring buffer has neither key nor value. */
  key?: { shape: Shape; size: number };
  value?: { shape: Shape; size: number };
}

export interface MapCodec<K, V> {
  readonly key: Codec<K>;
  readonly value: Codec<V>;
}

type StructName = keyof StructTable & string;

export interface Abi {
  readonly maps: ReadonlyMap<string, MapDefinition>;
  readonly structs: ReadonlyMap<string, StructLayout>;
  readonly enums: ReadonlyMap<string, Record<string, number>>;
  /** Variables in .rodata: name -> struct name. */
  readonly rodata: ReadonlyMap<string, string>;
  /** Hash of all map and struct layouts (not sizes of tables, not enums): equal means exchangeable. */
  readonly layoutHash: bigint;
  map<M extends MapName>(name: M): MapCodec<MapKey<M>, MapValue<M>>;
  struct<S extends StructName>(name: S): Codec<StructTable[S]>;
  layout(name: StructName): StructLayout;
}

/**
 * Reads the ABI of a BPF object file.
 * @throws Error when it is not an object with BTF or a layout is refused (gaps, bit fields, unions).
 */
export function readAbi(object: Uint8Array): Abi {
  const section = readElf(object).section('.BTF');
  if (!section) {
    throw new Error(
      'read BPF object: it has no .BTF section (EINVAL). Build it with `npm run build:bpf` (clang -g).',
    );
  }
  return abiOf(readBtf(section));
}

export function abiOf(btf: Btf): Abi {
  const maps = readMaps(btf);
  const rodata = readRodata(btf);
  const structs = collectStructs(btf, maps, rodata);
  const enums = collectEnums(btf);
  const codecs = new Map<string, MapCodec<unknown, unknown>>();
  const structCodecs = new Map<string, Codec<unknown>>();

  const layout = (name: string): StructLayout => {
    const found = structs.get(name);
    if (!found) {
      throw new Error(`read ABI: the BPF object has no struct ${name} (EINVAL). Run \`npm run build:bpf\`.`);
    }
    return found;
  };
  const codecOf = (part: { shape: Shape; size: number }, where: string) =>
    compileCodec<unknown>(part.shape, part.size, where, btf.littleEndian);

  return {
    maps,
    structs,
    enums,
    rodata,
    layoutHash: fnv1a64(layoutsText(maps, structs)),
    layout,
    map(name) {
      let codec = codecs.get(name);
      if (!codec) {
        const definition = maps.get(name);
        if (!definition?.key || !definition.value) {
          throw new Error(`read ABI: the BPF object has no keyed map ${name} (EINVAL).`);
        }
        codec = {
          key: codecOf(definition.key, `${name} key`),
          value: codecOf(definition.value, `${name} value`),
        };
        codecs.set(name, codec);
      }
      return codec as MapCodec<never, never>;
    },
    struct(name) {
      let codec = structCodecs.get(name);
      if (!codec) {
        const found = layout(name);
        codec = codecOf({ shape: { kind: 'struct', layout: found }, size: found.size }, name);
        structCodecs.set(name, codec);
      }
      return codec as Codec<never>;
    },
  };
}

/**
 * Program arrays, per-CPU maps and queues belong to one load of the programs (tail calls, working memory):
 * never pinned, never shared, so their values need no layout.
 */
const PRIVATE_TYPES = new Set([3, 5, 6, 10, 22]);

function readMaps(btf: Btf): Map<string, MapDefinition> {
  const maps = new Map<string, MapDefinition>();
  const variables = [...sectionVariables(btf, '.maps')].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, id] of variables) {
    const type = typeOf(btf, skipQualifiers(btf, id));
    if (type.kind !== 'struct') continue;
    const targets = new Map<string, number>();
    for (const member of type.members) {
      const pointer = typeOf(btf, member.type);
      if (pointer.kind === 'ptr') targets.set(member.name, pointer.type);
    }
    const number = (field: string) => {
      const target = typeOf(btf, targets.get(field) ?? 0);
      return target.kind === 'array' ? target.count : 0;
    };
    if (PRIVATE_TYPES.has(number('type'))) continue;
    const part = (field: 'key' | 'value') => {
      const target = targets.get(field);
      return target === undefined ? {} : { [field]: shapeOf(btf, target, `${name} ${field}`) };
    };
    maps.set(name, {
      name,
      type: number('type'),
      maxEntries: number('max_entries'),
      flags: number('map_flags'),
      ...part('key'),
      ...part('value'),
    });
  }
  return maps;
}

function readRodata(btf: Btf): Map<string, string> {
  const result = new Map<string, string>();
  for (const [name, id] of sectionVariables(btf, '.rodata')) {
    const type = typeOf(btf, skipQualifiers(btf, id));
    if (type.kind === 'struct') result.set(name, type.name);
  }
  return result;
}

function collectStructs(
  btf: Btf,
  maps: Map<string, MapDefinition>,
  rodata: Map<string, string>,
): Map<string, StructLayout> {
  const found = new Map<string, StructLayout>();
  const visit = (shape: Shape) => {
    if (shape.kind === 'array') visit(shape.element);
    if (shape.kind !== 'struct') return;
    found.set(shape.layout.name, shape.layout);
    for (const field of shape.layout.fields) visit(field.shape);
  };
  for (const map of maps.values()) {
    if (map.key) visit(map.key.shape);
    if (map.value) visit(map.value.shape);
  }
  const wanted = new Set(rodata.values());
  btf.types.forEach((type, id) => {
    if (type.kind === 'struct' && wanted.has(type.name) && !found.has(type.name)) {
      // The anchors exist only to keep other types in BTF: take what they name, not themselves.
      if (type.name === 'abi_anchors')
        for (const m of type.members) visit(shapeOf(btf, m.type, m.name).shape);
      else visit({ kind: 'struct', layout: structLayout(btf, id) });
    }
  });
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function collectEnums(btf: Btf): Map<string, Record<string, number>> {
  const result = new Map<string, Record<string, number>>();
  // Only enums that the anchors name: BTF also holds those of kernel headers.
  const anchors = btf.types.find((t) => t.kind === 'struct' && t.name === 'abi_anchors');
  const members = anchors?.kind === 'struct' ? anchors.members : [];
  for (const member of members) {
    const type = typeOf(btf, skipQualifiers(btf, member.type));
    if (type.kind === 'enum') {
      result.set(type.name, Object.fromEntries(type.values.map((v) => [v.name, Number(v.value)])));
    }
  }
  return new Map([...result].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Stable text of maps and layouts; sizes of tables are left out, since they are set per node. */
export function layoutsText(
  maps: ReadonlyMap<string, MapDefinition>,
  structs: ReadonlyMap<string, StructLayout>,
): string {
  const part = (p: { shape: Shape; size: number } | undefined) => (p ? shapeText(p.shape) : 'none');
  const mapLines = [...maps.values()].map(
    (m) => `map ${m.name} type ${m.type} flags ${m.flags} ${part(m.key)} -> ${part(m.value)}`,
  );
  // Settings belong to one load of the programs, events to one moment: neither outlives a restart.
  const lasting = [...structs.values()].filter((s) => s.name !== 'lb_settings' && s.name !== 'lb_event');
  return [...mapLines, ...lasting.map(layoutText)].join('\n');
}

/** FNV-1a, 64 bits. Not for secrets: it tells layouts apart. */
export function fnv1a64(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}
