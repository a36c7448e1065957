/** Lines that end every log but explain nothing. */
const STATISTICS = /^(processed \d+ insns|verification time|stack depth|max_states_per_insn|$)/;

const SHOWN_LINES = 4;

/**
 * The end of a verifier log that says why: its last lines without the closing statistics, indented, with
 * a count of what was left out.
 */
export function verifierSummary(log: string): string {
  const lines = log.split('\n').map((line) => line.trimEnd());
  const meaningful = lines.filter((line) => !STATISTICS.test(line));
  const shown = meaningful.slice(-SHOWN_LINES);
  const total = lines.filter((line) => line !== '').length;
  const omitted = total - shown.length;
  const body = shown.map((line) => `    ${line}`).join('\n');
  return omitted > 0 ? `${body}\n    (${omitted} lines omitted)` : body;
}
