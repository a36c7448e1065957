import { readElf } from '../abi/index.js';
import { DatapathError, type MapHandle } from './handles.js';

/** Bytes of one `const volatile` variable out of a pinned .rodata map of the same object. */
export function readRodata(
  object: Uint8Array,
  map: Pick<MapHandle, 'lookup' | 'info'>,
  name: string,
): Uint8Array {
  const elf = readElf(object);
  const symbol = elf.symbols().find((s) => s.section === '.rodata' && s.name === name);
  const size = elf.section('.rodata')?.length;
  if (!symbol || size !== map.info.valueSize) {
    throw new DatapathError(
      'EINVAL',
      `read settings: the live programs were loaded from another build (EINVAL). Use the version of shunt that the agent runs.`,
    );
  }
  const bytes = map.lookup(new Uint8Array(4)) ?? new Uint8Array(0);
  return bytes.slice(symbol.value, symbol.value + symbol.size);
}
