export interface Column<Row> {
  head: string;
  cell(row: Row): string;
  /** Shown with -o wide only. */
  wide?: boolean;
  align?: 'left' | 'right';
}

const GAP = '  ';

/** Columns padded to their widest cell, one line per row, no trailing space. Without rows: the head alone. */
export function renderTable<Row>(columns: Column<Row>[], rows: Row[], wide: boolean): string {
  const shown = columns.filter((column) => wide || !column.wide);
  const lines = [shown.map((c) => c.head), ...rows.map((row) => shown.map((c) => c.cell(row) || '-'))];
  const widths = shown.map((_, i) =>
    lines.reduce((width, cells) => Math.max(width, (cells[i] ?? '').length), 0),
  );
  return lines
    .map((cells) =>
      cells
        .map((cell, i) =>
          shown[i]?.align === 'right' ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
        )
        .join(GAP)
        .trimEnd(),
    )
    .join('\n')
    .concat('\n');
}
