export type Level = 'ok' | 'info' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Finding {
  /** Stable, for scripts: `<area>` or `<area>/<object>`. */
  id: string;
  level: Level;
  /** What is so. */
  what: string;
  /** What follows from it for traffic; '' when nothing does. */
  consequence: string;
  /** How to get rid of it; '' when there is nothing to do. */
  wayOut: string;
}

/** What the agent does on this machine where it has a choice. */
export interface Choice {
  what: string;
  choice: string;
  because: string;
}

export interface Report {
  /** The worst level found. */
  level: Level;
  findings: Finding[];
  choices: Choice[];
}

const ORDER: Level[] = ['ok', 'info', 'warn', 'fail'];

export function worst(findings: readonly Finding[]): Level {
  return findings.reduce<Level>(
    (level, finding) => (ORDER.indexOf(finding.level) > ORDER.indexOf(level) ? finding.level : level),
    'ok',
  );
}

export function ok(id: string, what: string): Finding {
  return { id, level: 'ok', what, consequence: '', wayOut: '' };
}

export function finding(
  level: Exclude<Level, 'ok'>,
  id: string,
  what: string,
  consequence: string,
  wayOut = '',
): Finding {
  return { id, level, what, consequence, wayOut };
}
