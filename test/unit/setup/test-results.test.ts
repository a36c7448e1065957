import { describe, expect, it } from 'vitest';
import { type Part, summarise, type VitestReport } from '../../../scripts/test-results.js';

function report(...statuses: string[]): VitestReport {
  return {
    testResults: [
      {
        name: 'a.test.ts',
        status: statuses.includes('failed') ? 'failed' : 'passed',
        assertionResults: statuses.map((status, i) => ({ fullName: `case ${i}`, status })),
      },
    ],
  };
}

function part(more: Partial<Part>): Part {
  return { name: 'unit', exitCode: 0, seconds: 1, hasTests: true, ...more };
}

describe('the sum of a test run', () => {
  it('adds passed, failed and skipped tests over all projects', () => {
    const sum = summarise([
      part({ report: report('passed', 'passed', 'skipped'), name: 'unit' }),
      part({ report: report('passed', 'failed'), name: 'packet', exitCode: 1 }),
    ]);
    expect(sum).toEqual({
      passed: 3,
      failed: 1,
      skipped: 1,
      remarks: ['skipped  unit: case 2', 'failed   packet: case 1'],
    });
  });

  it.each(['pending', 'todo', 'skipped', 'disabled'])('a test that is %s counts as skipped', (status) => {
    expect(summarise([part({ report: report(status) })])).toMatchObject({ passed: 0, failed: 0, skipped: 1 });
  });

  it('a file that could not be loaded is one failed test', () => {
    const file = {
      name: 'b.test.ts',
      status: 'failed',
      message: 'Error: boom\n  at x',
      assertionResults: [],
    };
    expect(summarise([part({ exitCode: 1, report: { testResults: [file] } })])).toEqual({
      passed: 0,
      failed: 1,
      skipped: 0,
      remarks: ['failed   unit: b.test.ts: Error: boom'],
    });
  });

  it('a run that ended badly although every test passed is one failed test', () => {
    const sum = summarise([part({ exitCode: 1, report: report('passed') })]);
    expect(sum).toEqual({ passed: 1, failed: 1, skipped: 0, remarks: ['failed   unit: ended with code 1'] });
  });

  it('a run that reached its time limit without a report is one failed test', () => {
    const sum = summarise([part({ exitCode: 124, seconds: 180 })]);
    expect(sum.remarks).toEqual(['failed   unit: not done within its time limit (180 s)']);
    expect(sum.failed).toBe(1);
  });

  it('a project that made no report is a failure even with exit code 0', () => {
    expect(summarise([part({})])).toMatchObject({ failed: 1 });
  });

  it('type check and lint count only when they fail', () => {
    expect(summarise([part({ name: 'lint', hasTests: false })])).toMatchObject({ passed: 0, failed: 0 });
    expect(summarise([part({ name: 'lint', hasTests: false, exitCode: 1 })])).toMatchObject({ failed: 1 });
  });
});
