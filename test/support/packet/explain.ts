import { type Bytes, toHex } from './bytes.js';
import { decode } from './decode.js';
import { verifyChecksums } from './verify.js';

/** `path value` lines of a frame, in the order of the wire. */
export function explain(frame: Bytes): [string, string][] {
  const lines: [string, string][] = [];
  const walk = (path: string, value: unknown): void => {
    if (value === undefined) return;
    if (value instanceof Uint8Array) {
      if (value.length > 0) lines.push([path, `${value.length} bytes ${describeBytes(value)}`]);
    } else if (Array.isArray(value)) {
      value.forEach((v, i) => {
        walk(`${path}[${i}]`, v);
      });
    } else if (typeof value === 'object' && value !== null) {
      for (const [k, v] of Object.entries(value)) walk(path === '' ? k : `${path}.${k}`, v);
    } else {
      lines.push([path, describe(path, value)]);
    }
  };
  const { problems, ...packet } = decode(frame);
  walk('', packet);
  for (const p of problems) lines.push(['malformed', p]);
  for (const p of verifyChecksums(frame)) lines.push(['wrong', p]);
  return lines;
}

function describe(path: string, value: unknown): string {
  const hexFields = ['checksum', 'rest', 'tag', 'id', 'type'];
  const field = path.slice(path.lastIndexOf('.') + 1);
  return typeof value === 'number' && hexFields.includes(field)
    ? `0x${value.toString(16)} (${value})`
    : String(value);
}

function describeBytes(b: Bytes): string {
  const shown = toHex(b.subarray(0, 32)) + (b.length > 32 ? '...' : '');
  const printable = b.length <= 32 && b.every((c) => c >= 32 && c < 127);
  return printable ? `${shown} '${new TextDecoder().decode(b)}'` : shown;
}

/**
 * Both frames field by field, one line each; lines that differ start with `!`. The bytes follow, with
 * the first differing offset.
 */
export function explainDiff(a: Bytes, b: Bytes, names: [string, string] = ['expected', 'got']): string {
  const [left, right] = [explain(a), explain(b)];
  const keys = [...new Set([...left, ...right].map(([k]) => k))];
  const order = new Map<string, number>();
  for (const list of [left, right]) {
    list.forEach(([k], i) => {
      if (!order.has(k)) order.set(k, i);
    });
  }
  keys.sort((x, y) => (order.get(x) as number) - (order.get(y) as number));
  const value = (list: [string, string][], key: string) =>
    list
      .filter(([k]) => k === key)
      .map(([, v]) => v)
      .join('; ') || '-';
  const rows = keys.map((k) => [k, value(left, k), value(right, k)] as const);
  const wide = Math.max(5, ...rows.map(([k]) => k.length));
  const middle = Math.max(names[0].length, ...rows.map(([, v]) => v.length));
  const lines = [`  ${'field'.padEnd(wide)}  ${names[0].padEnd(middle)}  ${names[1]}`];
  for (const [k, l, r] of rows) {
    lines.push(
      `${l === r ? ' ' : '!'} ${k.padEnd(wide)}  ${l.padEnd(middle)}  ${l === r ? '' : r}`.trimEnd(),
    );
  }
  const at = a.findIndex((x, i) => x !== b[i]);
  const differs = at >= 0 ? at : a.length === b.length ? -1 : a.length;
  if (differs >= 0) lines.push(`first difference at byte ${differs} of ${a.length} / ${b.length}`);
  lines.push(`${names[0]}: ${toHex(a)}`, `${names[1]}: ${toHex(b)}`);
  return lines.join('\n');
}
