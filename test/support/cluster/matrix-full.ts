/** Settings of the whole product, outside of a test runner. */
import { isDeepStrictEqual } from 'node:util';
import { expectationOf, rowName, rowsOf, type Setting, settingName } from './matrix.js';
import { MatrixCluster } from './matrix-run.js';

export interface SettingResult {
  name: string;
  rows: number;
  passed: number;
  /** One line per row that did not hold, or why none could be run. */
  failures: string[];
  /** The time was up before it: neither passed nor failed. */
  isLeftOut?: boolean;
}

/** Settings that can share a box and its agents, because only the nodes' rules and sysctls differ. */
export function groupSettings(settings: readonly Setting[]): Setting[][] {
  const groups = new Map<string, Setting[]>();
  for (const setting of settings) {
    const { mode, hostRouting, externalSource, masqueradeAll, xdp } = setting;
    const key = [mode, hostRouting, externalSource, masqueradeAll, xdp].join();
    groups.set(key, [...(groups.get(key) ?? []), setting]);
  }
  return [...groups.values()];
}

/** Never throws: what goes wrong is a failure of the setting. What `isOver` comes before is left out. */
export async function checkGroup(
  settings: readonly Setting[],
  isOver: () => boolean,
  report: (result: SettingResult) => void,
): Promise<void> {
  let matrix: MatrixCluster | undefined;
  try {
    for (const setting of settings) {
      const result = emptyResult(setting);
      if (isOver()) {
        report({ ...result, isLeftOut: true });
        continue;
      }
      try {
        if (matrix) await matrix.change(setting);
        else matrix = await MatrixCluster.start(setting);
        await checkRows(matrix, setting, result);
      } catch (error) {
        result.failures.push((error as Error).message);
      }
      report(result);
    }
  } finally {
    await matrix?.close();
  }
}

function emptyResult(setting: Setting): SettingResult {
  return { name: settingName(setting), rows: rowsOf(setting).length, passed: 0, failures: [] };
}

async function checkRows(matrix: MatrixCluster, setting: Setting, result: SettingResult): Promise<void> {
  const rows = rowsOf(setting);
  const seen = matrix.runAll(rows);
  for (const row of rows) {
    const expected = matrix.expected(row);
    const actual = await seen.get(row);
    if (isDeepStrictEqual(actual, expected)) {
      result.passed++;
      continue;
    }
    const name = rowName(row, expectationOf(row, setting));
    result.failures.push(`${name}; seen: ${JSON.stringify(actual)}`);
  }
}
