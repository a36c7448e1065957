/** Renders generated.ts from an object's ABI. Names and types only: offsets stay in the object. */
import type { Shape, StructLayout } from './layout.js';
import { type Abi, fnv1a64, layoutsText } from './maps.js';

/** Source text of src/abi/generated.ts. */
export function renderGenerated(abi: Omit<Abi, 'map' | 'struct' | 'layout'>): string {
  const structs = [...abi.structs.values()];
  const keyed = [...abi.maps.values()].filter((m) => m.key && m.value);
  const hash = fnv1a64([layoutsText(abi.maps, abi.structs), JSON.stringify([...abi.enums])].join('\n'));
  return [
    '// Written by `npm run gen` from build/bpf/shunt.bpf.o; do not edit.',
    '// Field names are those of bpf/abi/*.h. Offsets are read from the loaded object, never from here.',
    '',
    `export const ABI_HASH = 0x${hash.toString(16)}n;`,
    '',
    ...structs.flatMap(renderInterface),
    'export interface StructTable {',
    ...structs.map((s) => `  ${s.name}: ${pascal(s.name)};`),
    '}',
    '',
    'export interface MapTable {',
    ...keyed.map((m) => `  ${m.name}: { key: ${tsType(m.key?.shape)}; value: ${tsType(m.value?.shape)} };`),
    '}',
    '',
    'export type MapName = keyof MapTable;',
    "export type MapKey<M extends MapName> = MapTable[M]['key'];",
    "export type MapValue<M extends MapName> = MapTable[M]['value'];",
    '',
    `export const MAP_NAMES = [${[...abi.maps.keys()].map((n) => `'${n}'`).join(', ')}] as const;`,
    '',
    ...[...abi.enums].flatMap(([name, values]) => renderEnum(name, values)),
  ].join('\n');
}

function renderInterface(layout: StructLayout): string[] {
  return [
    `/** struct ${layout.name}, ${layout.size} bytes */`,
    `export interface ${pascal(layout.name)} {`,
    ...layout.fields
      .filter((f) => !f.padding)
      .map((f) => `  ${f.name}: ${tsType(f.shape)};${comment(f.shape)}`),
    '}',
    '',
  ];
}

function renderEnum(name: string, values: Record<string, number>): string[] {
  const entries = Object.entries(values);
  return [
    ...entries.map(([key, value]) => `export const ${key} = ${value};`),
    `/** enum ${name} */`,
    `export const ${name} = { ${entries.map(([key]) => key).join(', ')} } as const;`,
    `export type ${pascal(name)}Name = keyof typeof ${name};`,
    '',
  ];
}

function tsType(shape: Shape | undefined): string {
  switch (shape?.kind) {
    case 'int':
    case 'enum':
      return 'number';
    case 'be':
      return shape.bits === 64 ? 'bigint' : 'number';
    case 'u64':
      return 'bigint';
    case 'addr':
    case 'text':
      return 'string';
    case 'bytes':
      return 'Uint8Array';
    case 'array':
      return `${tsType(shape.element)}[]`;
    case 'struct':
      return pascal(shape.layout.name);
    case undefined:
      return 'never';
  }
}

function comment(shape: Shape): string {
  if (shape.kind === 'addr') return ' // address text';
  if (shape.kind === 'be') return ` // __be${shape.bits}, here the plain number`;
  if (shape.kind === 'text') return ` // at most ${shape.length} bytes of UTF-8`;
  if (shape.kind === 'bytes') return ` // ${shape.length} bytes`;
  if (shape.kind === 'int' && shape.bits < 32) return ` // u${shape.bits}`;
  return '';
}

function pascal(name: string): string {
  return name
    .split('_')
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');
}
