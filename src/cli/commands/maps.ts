import type { Command } from 'commander';
import { MAP_NAMES, type MapName } from '../../abi/index.js';
import type { CliEnvironment } from '../environment.js';
import { UsageError } from '../errors.js';
import { renderRows } from '../output/format.js';
import type { Column } from '../output/table.js';
import { byteSize } from '../output/text.js';
import { fieldsText, type MapEntry, type MapRow, mapEntries, mapRows } from '../views/maps.js';
import { addReadOptions, type ReadOptions } from './read.js';

const USAGE_COLUMNS: Column<MapRow>[] = [
  { head: 'NAME', cell: (m) => m.name },
  { head: 'TYPE', cell: (m) => m.type },
  { head: 'ENTRIES', cell: (m) => (m.entries === null ? '' : String(m.entries)), align: 'right' },
  { head: 'MAX', cell: (m) => String(m.maxEntries), align: 'right' },
  { head: 'MEMORY', cell: (m) => (m.memoryBytes === null ? '' : byteSize(m.memoryBytes)), align: 'right' },
  { head: 'KEY-BYTES', cell: (m) => String(m.keyBytes), wide: true, align: 'right' },
  { head: 'VALUE-BYTES', cell: (m) => String(m.valueBytes), wide: true, align: 'right' },
];

const ENTRY_COLUMNS: Column<MapEntry>[] = [
  { head: 'KEY', cell: (e) => fieldsText(e.key) },
  { head: 'VALUE', cell: (e) => fieldsText(e.value) },
];

export function addMapsCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('maps')
    .description('the BPF maps and how full they are, or the decoded entries of one')
    .argument('[name]', 'print the entries of this map (of an array: those that are not zero)');
  addReadOptions(command).action(async (name: string | undefined, options: ReadOptions) => {
    using live = await environment.openLive(options.pinPath);
    environment.stdout.write(
      name === undefined
        ? renderRows(options.output, USAGE_COLUMNS, mapRows(live))
        : renderRows(options.output, ENTRY_COLUMNS, mapEntries(live, knownMap(name, live.mapNames()))),
    );
  });
}

function knownMap(name: string, readable: MapName[]): MapName {
  const found = readable.find((known) => known === name);
  if (found !== undefined) return found;
  const cause = (MAP_NAMES as readonly string[]).includes(name)
    ? 'it has no entries to print'
    : 'no such map';
  throw new UsageError(`print map ${name}: ${cause}. it is one of ${[...readable].sort().join(', ')}`);
}
