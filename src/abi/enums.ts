/** Names of ABI enums. Tables are those of generated.ts (or any name -> value record). */

type EnumTable = Readonly<Record<string, number>>;

const inverted = new WeakMap<EnumTable, Map<number, string>>();

function byValue(table: EnumTable): Map<number, string> {
  let map = inverted.get(table);
  if (!map) {
    map = new Map(Object.entries(table).map(([name, value]) => [value, name]));
    inverted.set(table, map);
  }
  return map;
}

/** Name of a value; a value the enum does not know becomes its decimal text. */
export function enumName(table: EnumTable, value: number): string {
  return byValue(table).get(value) ?? String(value);
}

/** Names of the bits that are set, lowest first; unknown bits as one hexadecimal text. */
export function flagNames(table: EnumTable, flags: number): string[] {
  const names: string[] = [];
  let rest = flags >>> 0;
  for (const [value, name] of [...byValue(table)].sort((a, b) => a[0] - b[0])) {
    if (value !== 0 && (rest & value) === value) {
      names.push(name);
      rest = (rest & ~value) >>> 0;
    }
  }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names;
}

/** `NO_BACKEND` -> `no_backend`, prefix removed: the form of metric labels and tables. */
export function shortName(name: string, prefix: string): string {
  return (name.startsWith(prefix) ? name.slice(prefix.length) : name).toLowerCase();
}
