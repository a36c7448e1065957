/** The little of ELF64 that is needed to find `.BTF` and the place of `.rodata` variables. */

export interface ElfSymbol {
  name: string;
  /** Byte offset in its section. */
  value: number;
  size: number;
  section: string;
}

export interface Elf {
  littleEndian: boolean;
  /** Bytes of a section (a view, not a copy); undefined when there is none of that name. */
  section(name: string): Uint8Array | undefined;
  symbols(): ElfSymbol[];
}

const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;

interface Section {
  name: string;
  type: number;
  offset: number;
  size: number;
  link: number;
  entrySize: number;
}

/**
 * Reads a 64-bit ELF file.
 * @throws Error when the bytes are not one (the text says what is wrong).
 */
export function readElf(bytes: Uint8Array): Elf {
  if (bytes.length < 64 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    throw new Error('read BPF object: not an ELF file (EINVAL). Build it again with `npm run build:bpf`.');
  }
  if (bytes[4] !== 2) {
    throw new Error(
      'read BPF object: not a 64-bit ELF file (EINVAL). Build it again with `npm run build:bpf`.',
    );
  }
  const le = bytes[5] === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u64 = (at: number) => Number(view.getBigUint64(at, le));
  const sections = readSections(bytes, view, u64, le);
  const data = (s: Section) =>
    s.type === SHT_NOBITS ? new Uint8Array(0) : bytes.subarray(s.offset, s.offset + s.size);

  return {
    littleEndian: le,
    section(name) {
      const found = sections.find((s) => s.name === name);
      return found && data(found);
    },
    symbols() {
      const table = sections.find((s) => s.type === SHT_SYMTAB);
      const strings = table && sections[table.link];
      if (!table || !strings) return [];
      const text = data(strings);
      const result: ElfSymbol[] = [];
      for (let at = table.offset; at + 24 <= table.offset + table.size; at += 24) {
        const section = sections[view.getUint16(at + 6, le)];
        if (!section) continue;
        result.push({
          name: cString(text, view.getUint32(at, le)),
          value: u64(at + 8),
          size: u64(at + 16),
          section: section.name,
        });
      }
      return result;
    },
  };
}

function readSections(
  bytes: Uint8Array,
  view: DataView,
  u64: (at: number) => number,
  le: boolean,
): Section[] {
  const tableAt = u64(0x28);
  const entry = view.getUint16(0x3a, le);
  const count = view.getUint16(0x3c, le);
  const names = view.getUint16(0x3e, le);
  if (tableAt + entry * count > bytes.length || entry < 64) {
    throw new Error('read BPF object: file is cut short (EINVAL). Build it again with `npm run build:bpf`.');
  }
  const raw = Array.from({ length: count }, (_, i) => tableAt + i * entry).map((at) => ({
    nameAt: view.getUint32(at, le),
    type: view.getUint32(at + 4, le),
    offset: u64(at + 0x18),
    size: u64(at + 0x20),
    link: view.getUint32(at + 0x28, le),
    entrySize: u64(at + 0x38),
  }));
  const strings = raw[names];
  const text = strings ? bytes.subarray(strings.offset, strings.offset + strings.size) : new Uint8Array(0);
  return raw.map(({ nameAt, ...s }) => ({ ...s, name: cString(text, nameAt) }));
}

/** NUL-terminated text at an offset. */
export function cString(bytes: Uint8Array, at: number): string {
  let end = at;
  while (end < bytes.length && bytes[end] !== 0) end++;
  return new TextDecoder().decode(bytes.subarray(at, end));
}
