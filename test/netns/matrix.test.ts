import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectationOf, PLAIN, type Row, rowName, rowsOf } from '../support/cluster/matrix.js';
import { MatrixCluster, type RowResult } from '../support/cluster/matrix-run.js';

describe('every client, frontend, policy and backend, pods routed (SEMANTICS 2, 3, 6, 7)', () => {
  const rows = rowsOf(PLAIN);
  let matrix: MatrixCluster;
  let results: Map<Row, Promise<RowResult>>;

  beforeAll(async () => {
    matrix = await MatrixCluster.start(PLAIN);
    results = matrix.runAll(rows);
  });
  afterAll(() => matrix?.close());

  for (const row of rows) {
    it(rowName(row, expectationOf(row, PLAIN)), async () => {
      expect(await results.get(row)).toEqual(matrix.expected(row));
    });
  }
});
