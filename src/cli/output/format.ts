import { stringify } from 'yaml';
import { type Column, renderTable } from './table.js';

export const FORMATS = ['table', 'wide', 'json', 'yaml'] as const;
export type Format = (typeof FORMATS)[number];

/** Machine formats of plain data: object members keep their order, so equal states give equal text. */
export function renderData(format: 'json' | 'yaml', data: unknown): string {
  return format === 'json' ? `${JSON.stringify(data, null, 2)}\n` : stringify(data);
}

export function renderRows<Row>(format: Format, columns: Column<Row>[], rows: Row[]): string {
  if (format === 'json' || format === 'yaml') return renderData(format, rows);
  return renderTable(columns, rows, format === 'wide');
}
