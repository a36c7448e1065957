import type { MapName } from '../../abi/index.js';
import type { MapsReader, MapUsage } from '../reader.js';
import { by } from './order.js';

export function viewMaps(reader: MapsReader): MapUsage[] {
  return reader.usage().sort(by((m) => m.name));
}

export interface MapEntry {
  key: unknown;
  value: unknown;
}

/** Decoded entries in the order of their keys: numbers by value, structs by their fields from the first on. */
export function viewMap(reader: MapsReader, name: MapName): MapEntry[] {
  const entries = [...reader.entries(name)].map(([key, value]) => ({ key: plain(key), value: plain(value) }));
  const keys = new Map(entries.map((entry) => [entry, sortKey(entry.key)]));
  return entries.sort(by((entry) => keys.get(entry) ?? ''));
}

/** Decoded values as JSON has them: u64 as a number while exact, then as text; bytes as hex. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
  }
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
    .map(([name, field]) =>
      field !== null && typeof field === 'object'
        ? `${name}={${fieldsText(field)}}`
        : `${name}=${field === '' ? '-' : field}`,
    )
    .join(' ');
}
