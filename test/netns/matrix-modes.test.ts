import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectationOf, type Row, rowName, rowsOf, settingName } from '../support/cluster/matrix.js';
import { MatrixCluster, type RowResult } from '../support/cluster/matrix-run.js';
import { SELECTED } from '../support/cluster/matrix-settings.js';

for (const setting of SELECTED) {
  describe(`a Service of each policy, ${settingName(setting)} (SEMANTICS 3, 6, 7)`, () => {
    const rows = rowsOf(setting, { frontends: ['ClusterIP', 'NodePort'], backends: ['here', 'elsewhere'] });
    let matrix: MatrixCluster;
    let results: Map<Row, Promise<RowResult>>;

    beforeAll(async () => {
      matrix = await MatrixCluster.start(setting);
      results = matrix.runAll(rows);
    });
    afterAll(() => matrix?.close());

    for (const row of rows) {
      it(rowName(row, expectationOf(row, setting)), async () => {
        expect(await results.get(row)).toEqual(matrix.expected(row));
      });
    }
  });
}
