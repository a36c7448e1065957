import type { MapName, MapValue } from '../../abi/index.js';
import { type drop_reason, lb_path } from '../../abi/index.js';
import type { MapsReader } from '../reader.js';

type CounterMap = 'stats_services' | 'stats_paths' | 'stats_drops';
type Counters<M extends MapName> = { [K in keyof MapValue<M>]: number };

/** Counters are u64 in the kernel and a double here: exact up to 2^53, which is 285 years of 10 Mpps. */
function narrow(value: bigint): number {
  return Number(value);
}

/** How many shards a counter has; the path table's size is known to be that of its enum times the shards. */
function shardsOf(reader: MapsReader): number {
  return reader.maxEntries('stats_paths') / lb_path.PATH_MAX;
}

/** Sums of a sharded counter array by id. Ids whose counters are all zero are absent. */
export function sumShards<M extends CounterMap>(reader: MapsReader, map: M): Map<number, Counters<M>> {
  const shards = shardsOf(reader);
  const sums = new Map<number, Counters<M>>();
  for (const [index, value] of reader.entries(map)) {
    const id = Math.floor((index as number) / shards);
    const fields = Object.entries(value as unknown as Record<string, bigint>);
    const sum = sums.get(id) as Record<string, number> | undefined;
    if (sum === undefined) {
      sums.set(id, Object.fromEntries(fields.map(([k, v]) => [k, narrow(v)])) as Counters<M>);
    } else {
      for (const [k, v] of fields) sum[k] = (sum[k] ?? 0) + narrow(v);
    }
  }
  return sums;
}

/** Names of an enum of counters in the order of their values, without NONE and MAX. */
export function counterNames(table: typeof lb_path | typeof drop_reason, prefix: string): [string, number][] {
  return Object.entries(table)
    .filter(([name]) => name !== `${prefix}NONE` && name !== `${prefix}MAX`)
    .sort(([, a], [, b]) => a - b)
    .map(([name, value]) => [name.slice(prefix.length).toLowerCase(), value]);
}
