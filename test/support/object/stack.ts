/** How deep the stack of a BPF object's programs gets, as Linux before 6.8 counts it: every frame rounded up to 32 bytes. */
import { type BpfFunction, type ElfFile, readElf } from './elf.js';

const CALL = 0x85;
const LOAD_IMMEDIATE = 0x18;
const MOVE = 0xbf;
const ADD = 0x07;
const FRAME_POINTER = 10;
const LOCAL_CALL = 1;

export interface Chain {
  bytes: number;
  /** Functions from the program down. */
  functions: string[];
}

/** The deepest chain of calls below each of these functions; default: of every program. */
export function deepestChains(path: string, from?: string[]): Chain[] {
  const elf = readElf(path);
  const frames = new Map(elf.functions.map((f) => [f.name, frameOf(elf, f)]));
  const deepest = (name: string): Chain => {
    const frame = frames.get(name);
    const below = [...(frame?.callees ?? [])].filter((callee) => frames.has(callee)).map(deepest);
    const worst = below.reduce((a, b) => (b.bytes > a.bytes ? b : a), { bytes: 0, functions: [] });
    const own = Math.ceil(Math.max(frame?.bytes ?? 0, 1) / 32) * 32;
    return { bytes: own + worst.bytes, functions: [name, ...worst.functions] };
  };
  const programs = () => elf.functions.filter((f) => f.section.name !== '.text').map((f) => f.name);
  return (from ?? programs()).map(deepest);
}

function frameOf(elf: ElfFile, f: BpfFunction) {
  let bytes = 0;
  const callees = new Set<string>();
  const addresses = new Set<number>();
  for (let at = f.start; at < f.end; at += 8) {
    const code = elf.data.getUint8(f.section.offset + at);
    const registers = elf.data.getUint8(f.section.offset + at + 1);
    const offset = elf.data.getInt16(f.section.offset + at + 2, true);
    const immediate = elf.data.getInt32(f.section.offset + at + 4, true);
    const [to, from] = [registers & 15, registers >> 4];
    const kind = code & 7;
    const base = kind === 1 ? from : kind === 2 || kind === 3 ? to : undefined;
    if (base === FRAME_POINTER) bytes = Math.max(bytes, -offset);
    if (code === MOVE && from === FRAME_POINTER) addresses.add(to);
    else if (code === ADD && addresses.delete(to)) bytes = Math.max(bytes, -immediate);
    else if (kind !== 2 && kind !== 3 && kind !== 5) addresses.delete(to);
    const relocation = f.section.relocations.get(at);
    if (code === CALL && from === LOCAL_CALL) {
      const target = relocation?.isSection ? (immediate + 1) * 8 : at + (immediate + 1) * 8;
      const name = relocation && !relocation.isSection ? relocation.name : undefined;
      callees.add(name ?? elf.functionAt(relocation?.section ?? f.section.index, target) ?? '?');
    }
    if (code === LOAD_IMMEDIATE) {
      // A callback, for bpf_loop.
      if (relocation?.isSection && relocation.isText)
        callees.add(elf.functionAt(relocation.section, immediate) ?? '?');
      at += 8;
    }
  }
  return { bytes, callees };
}
