/**
 * Whether two versions of a model object mean the same to the model. The time at which a change was triggered is
 * only for measuring: on its own it is no change.
 */
export function isSameObject(left: object, right: object): boolean {
  return isSame(left, right, 'lastChangeTriggerTimeMs');
}

function isSame(left: unknown, right: unknown, ignoredKey?: string): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((element, index) => isSame(element, right[index]));
  }
  const a = left as Record<string, unknown>;
  const b = right as Record<string, unknown>;
  for (const key in a) {
    if (key !== ignoredKey && !(key in b && isSame(a[key], b[key]))) return false;
  }
  for (const key in b) {
    if (key !== ignoredKey && !(key in a)) return false;
  }
  return true;
}
