import type { MapName } from '../../abi/index.js';
import { MapType } from '../../native/constants.js';
import type { LiveState } from '../reader.js';
import { sortedBy } from './order.js';

export interface MapRow {
  name: string;
  /** hash, lru_hash, array, ... */
  type: string;
  /** Entries in use; null for counters and the ring buffer, where that has no meaning. */
  entries: number | null;
  maxEntries: number;
  keyBytes: number;
  valueBytes: number;
  /** Memory that the kernel holds for it; null where it does not say. */
  memoryBytes: number | null;
}

export function mapRows(live: LiveState): MapRow[] {
  return sortedBy(live.maps.tables(), (table) => table.name).map((table) => ({
    name: table.name,
    type: typeName(table.type),
    entries: table.used ?? null,
    maxEntries: table.maxEntries,
    keyBytes: table.keyBytes,
    valueBytes: table.valueBytes,
    memoryBytes: live.memoryBytes(table.name),
  }));
}

function typeName(type: number): string {
  const known = Object.entries(MapType).find(([, value]) => value === type);
  return known ? known[0].toLowerCase() : String(type);
}

export interface MapEntry {
  key: unknown;
  value: unknown;
}

/** Decoded entries in the order of their keys: numbers by value, structs by their fields from the first on. */
export function mapEntries(live: LiveState, name: MapName): MapEntry[] {
  const entries = Array.from(live.maps.entries(name), ([key, value]) => ({
    key: plain(key),
    value: plain(value),
  }));
  return sortedBy(entries, (entry) => sortKey(entry.key));
}

/** Decoded values as JSON has them: u64 as a number while exact, then as text; bytes as hex. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint')
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  return value;
}

function sortKey(value: unknown): string {
  if (typeof value === 'number') return String(value).padStart(20, '0');
  if (value !== null && typeof value === 'object') return Object.values(value).map(sortKey).join(' ');
  return String(value);
}

/** `a=1 b=x`, nested structs in braces; a plain value as itself. */
export function fieldsText(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([name, field]) => `${name}=${fieldText(field)}`)
    .join(' ');
}

function fieldText(field: unknown): string {
  if (field === '') return '-';
  return field !== null && typeof field === 'object' ? `{${fieldsText(field)}}` : String(field);
}
