/** Exit codes of the shunt command. */
export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
/** Wrong command line. */
export const EXIT_USAGE = 2;

/** A wrong command line; the message follows `<verb> <object>: <cause>. <next step>`. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Something outside of us that is not as needed; the message is the whole sentence for people. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** System errors and our own classes say what failed; anything else that is thrown is a mistake of ours. */
function isExpected(error: Error): boolean {
  if (error instanceof UsageError || error instanceof CliError) return true;
  if ('code' in error && typeof error.code === 'string') return true;
  return !['TypeError', 'ReferenceError', 'RangeError', 'AssertionError'].includes(error.name);
}

/** One sentence without a stack, or with it and its causes when `verbose`. */
export function errorText(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return `shunt: ${String(error)}`;
  if (verbose) return `shunt: ${stacks(error)}`;
  const message = error.message.trim() || error.name;
  const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : '';
  const text = hint && !message.includes(hint) ? `${message.replace(/\.?$/, '.')} ${hint}` : message;
  return isExpected(error)
    ? `shunt: ${text}`
    : `shunt: internal error: ${text}. run it with --verbose and report what it prints`;
}

function stacks(error: Error): string {
  const own = error.stack ?? error.message;
  const log = 'log' in error && typeof error.log === 'string' && error.log !== '' ? `\n${error.log}` : '';
  return error.cause instanceof Error ? `${own}${log}\ncaused by: ${stacks(error.cause)}` : `${own}${log}`;
}
