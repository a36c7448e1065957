/** Shell patterns for device names: `*` any run of characters, `?` one; anything else stands for itself. */
export function compilePatterns(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.length === 0) return () => false;
  const source = patterns
    .map((pattern) =>
      pattern
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*/g, '.*')
        .replace(/\?/g, '.'),
    )
    .join('|');
  const expression = new RegExp(`^(?:${source})$`);
  return (name) => expression.test(name);
}
