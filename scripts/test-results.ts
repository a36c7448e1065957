/** One part of a test run: its name, exit code, duration and, for a vitest project, its JSON report. */
export interface Part {
  name: string;
  exitCode: number;
  seconds: number;
  report?: VitestReport;
  /** Whether a report is expected at all: type check and lint have none. */
  hasTests: boolean;
}

/** The parts of vitest's JSON report that count. */
export interface VitestReport {
  testResults: {
    name: string;
    status: string;
    message?: string;
    assertionResults: { fullName: string; status: string }[];
  }[];
}

export interface Summary {
  passed: number;
  failed: number;
  skipped: number;
  /** One line per failure or skip, with the part's name. */
  remarks: string[];
}

/** The exit code of timeout(1) when the limit was reached. */
const TIMED_OUT = 124;

/**
 * Sums up a run. A failure that no test accounts for (a file that could not be loaded, a crash, a time limit,
 * a failed type check) counts as one failed test, so that the sum never looks better than the exit codes.
 */
export function summarise(parts: Part[]): Summary {
  const sum: Summary = { passed: 0, failed: 0, skipped: 0, remarks: [] };
  for (const part of parts) {
    const failedBefore = sum.failed;
    for (const file of part.report?.testResults ?? []) addFile(sum, part.name, file);
    const unexplained = part.exitCode !== 0 && sum.failed === failedBefore;
    if (unexplained || (part.hasTests && part.report === undefined)) {
      sum.failed += 1;
      sum.remarks.push(`failed   ${part.name}: ${endedHow(part)}`);
    }
  }
  return sum;
}

function addFile(sum: Summary, part: string, file: VitestReport['testResults'][number]): void {
  let failedHere = 0;
  for (const test of file.assertionResults) {
    if (test.status === 'passed') {
      sum.passed += 1;
    } else if (test.status === 'failed') {
      failedHere += 1;
      sum.remarks.push(`failed   ${part}: ${test.fullName}`);
    } else {
      sum.skipped += 1;
      sum.remarks.push(`skipped  ${part}: ${test.fullName}`);
    }
  }
  if (file.status === 'failed' && failedHere === 0) {
    failedHere = 1;
    sum.remarks.push(`failed   ${part}: ${file.name}: ${firstLine(file.message) || 'the file failed'}`);
  }
  sum.failed += failedHere;
}

function endedHow(part: Part): string {
  if (part.exitCode === TIMED_OUT) return `not done within its time limit (${part.seconds} s)`;
  if (part.hasTests && part.report === undefined) return `ended with code ${part.exitCode} and no report`;
  return `ended with code ${part.exitCode}`;
}

function firstLine(text = ''): string {
  return text.trim().split('\n', 1)[0] ?? '';
}
