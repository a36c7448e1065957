import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectationOf, rowName, rowsOf, settingName } from '../support/cluster/matrix.js';
import { MatrixCluster } from '../support/cluster/matrix-run.js';
import { SELECTED } from '../support/cluster/matrix-settings.js';

const SETTINGS = SELECTED.map((setting) => ({ setting, name: settingName(setting) }));

describe.each(SETTINGS)('a Service of each policy: $name (SEMANTICS 3, 6, 7)', ({ setting }) => {
  const rows = rowsOf(setting, { frontends: ['ClusterIP', 'NodePort'], backends: ['here', 'elsewhere'] }).map(
    (row) => ({ row, name: rowName(row, expectationOf(row, setting)) }),
  );
  let matrix: MatrixCluster;

  beforeAll(async () => {
    matrix = await MatrixCluster.start(setting);
  });
  afterAll(() => matrix?.close());

  describe.concurrent('clients', () => {
    it.each(rows)('$name', async ({ row }) => {
      expect(await matrix.run(row)).toEqual(matrix.expected(row));
    });
  });
});
