import { type Abi, fieldOffset, type StructTable } from '../abi/index.js';
import type { MapByName } from './handles.js';

const STRUCTS = {
  stats_services: 'stats_service',
  stats_drops: 'stats_drop',
  stats_paths: 'stats_path',
} as const;

/**
 * Sums the shards of one index, field by field, and narrows to numbers (exact up to 2^53): the one
 * place where counters stop being bigints.
 */
export function statsOf<N extends keyof typeof STRUCTS>(
  abi: Abi,
  map: MapByName,
  name: N,
  index: number,
  shards: number,
  fields: readonly (keyof StructTable[(typeof STRUCTS)[N]] & string)[],
): number[] {
  const table = map(name);
  const words = new BigUint64Array(table.mmap());
  const stride = table.valueStride / 8;
  const layout = abi.layout(STRUCTS[name]);
  return fields.map((field) => {
    const offset = fieldOffset(layout, field) / 8;
    let sum = 0n;
    for (let i = 0; i < shards; i++) sum += words[(index * shards + i) * stride + offset] ?? 0n;
    return Number(sum);
  });
}
