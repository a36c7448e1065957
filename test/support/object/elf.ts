/** What stack.ts needs of an ELF file: functions, and what their instructions refer to. 64 bits, little-endian. */
import { readFileSync } from 'node:fs';

interface Relocation {
  name: string;
  section: number;
  isSection: boolean;
  isText: boolean;
}

interface Section {
  index: number;
  name: string;
  type: number;
  offset: number;
  size: number;
  link: number;
  info: number;
  relocations: Map<number, Relocation>;
}

export interface BpfFunction {
  name: string;
  section: Section;
  start: number;
  end: number;
}

export interface ElfFile {
  data: DataView;
  functions: BpfFunction[];
  functionAt(section: number, offset: number): string | undefined;
}

const SYMBOLS = 2;
const RELOCATIONS = 9;
const FUNCTION = 2;
const SECTION = 3;

export function readElf(path: string): ElfFile {
  const file = readFileSync(path);
  const data = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const word = (at: number) => data.getUint32(at, true);
  const long = (at: number) => Number(data.getBigUint64(at, true));
  const text = (at: number) => file.toString('latin1', at, file.indexOf(0, at));

  const sections = Array.from({ length: data.getUint16(60, true) }, (_, index): Section => {
    const at = long(40) + index * 64;
    const [name, type, offset, size] = [String(word(at)), word(at + 4), long(at + 24), long(at + 32)];
    return {
      index,
      name,
      type,
      offset,
      size,
      link: word(at + 40),
      info: word(at + 44),
      relocations: new Map(),
    };
  });
  const names = sections[data.getUint16(62, true)]?.offset ?? 0;
  for (const section of sections) section.name = text(names + Number(section.name));

  const table = sections.find(({ type }) => type === SYMBOLS);
  if (!table) throw new Error(`read ${path}: no symbols (EINVAL). build it with 'npm run build:bpf'.`);
  const strings = sections[table.link]?.offset ?? 0;
  const symbols = Array.from({ length: table.size / 24 }, (_, i) => {
    const at = table.offset + i * 24;
    return {
      name: text(strings + word(at)),
      kind: data.getUint8(at + 4) & 15,
      section: data.getUint16(at + 6, true),
      start: long(at + 8),
      size: long(at + 16),
    };
  });
  for (const { type, offset, size, info } of sections) {
    if (type !== RELOCATIONS) continue;
    for (let at = offset; at < offset + size; at += 16) {
      const symbol = symbols[word(at + 12)];
      if (!symbol) continue;
      sections[info]?.relocations.set(long(at), {
        name: symbol.name,
        section: symbol.section,
        isSection: symbol.kind === SECTION,
        isText: sections[symbol.section]?.name === '.text',
      });
    }
  }
  const functions = symbols.flatMap(({ name, kind, section, start, size }) => {
    const within = sections[section];
    return kind === FUNCTION && within ? [{ name, section: within, start, end: start + size }] : [];
  });
  return {
    data,
    functions,
    functionAt: (section, offset) =>
      functions.find((f) => f.section.index === section && f.start <= offset && offset < f.end)?.name,
  };
}
