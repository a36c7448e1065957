/** Plain nested objects, addressed by dotted paths. */
export type Tree = Record<string, unknown>;

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Leaves with their paths; an empty object is a leaf. */
export function leaves(tree: Tree, prefix = ''): [path: string, value: unknown][] {
  return Object.entries(tree).flatMap(([key, value]): [string, unknown][] =>
    isTree(value) && Object.keys(value).length > 0
      ? leaves(value, `${prefix}${key}.`)
      : [[`${prefix}${key}`, value]],
  );
}

export function get(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => (isTree(at) ? at[key] : undefined), tree);
}

export function put(tree: Tree, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() as string;
  let at = tree;
  for (const key of keys) {
    const next = isTree(at[key]) ? at[key] : {};
    at[key] = next;
    at = next;
  }
  at[last] = value;
}

/** Both; where both say something, `over` wins. Lists are replaced whole. */
export function mergeTrees(under: Tree, over: Tree): Tree {
  const merged: Tree = structuredClone(under);
  for (const [path, value] of leaves(over)) put(merged, path, value);
  return merged;
}

/** Without null, which means "not given". */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isTree(value)) return value;
  const given = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined);
  return Object.fromEntries(given.map(([key, inner]) => [key, withoutNulls(inner)]));
}
