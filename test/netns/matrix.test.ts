import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectationOf, PLAIN, rowName, rowsOf } from '../support/cluster/matrix.js';
import { MatrixCluster } from '../support/cluster/matrix-run.js';

const ROWS = rowsOf(PLAIN).map((row) => ({ row, name: rowName(row, expectationOf(row, PLAIN)) }));

describe.concurrent('every client, frontend, policy and backend, pods routed (SEMANTICS 2, 3, 6, 7)', () => {
  let matrix: MatrixCluster;

  beforeAll(async () => {
    matrix = await MatrixCluster.start(PLAIN);
  });
  afterAll(() => matrix?.close());

  it.each(ROWS)('$name', async ({ row }) => {
    expect(await matrix.run(row)).toEqual(matrix.expected(row));
  });
});
