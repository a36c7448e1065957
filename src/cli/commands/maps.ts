import type { Command } from 'commander';
import { MAP_NAMES, type MapName } from '../../abi/index.js';
import type { CliEnvironment } from '../environment.js';
import { UsageError } from '../errors.js';
import { renderRows } from '../output/format.js';
import type { Column } from '../output/table.js';
import { byteSize } from '../output/text.js';
import type { MapUsage } from '../reader.js';
import { fieldsText, type MapEntry, viewMap, viewMaps } from '../views/maps.js';
import { addReadOptions, type ReadOptions } from './read.js';

const USAGE_COLUMNS: Column<MapUsage>[] = [
  { head: 'NAME', cell: (m) => m.name },
  { head: 'TYPE', cell: (m) => m.type },
  { head: 'ENTRIES', cell: (m) => (m.entries === null ? '' : String(m.entries)), align: 'right' },
  { head: 'MAX', cell: (m) => String(m.maxEntries), align: 'right' },
  { head: 'MEMORY', cell: (m) => (m.bytes === null ? '' : byteSize(m.bytes)), align: 'right' },
  { head: 'KEY-BYTES', cell: (m) => String(m.keySize), wide: true, align: 'right' },
  { head: 'VALUE-BYTES', cell: (m) => String(m.valueSize), wide: true, align: 'right' },
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
    using reader = await environment.openReader(options.pinPath);
    environment.stdout.write(
      name === undefined
        ? renderRows(options.output, USAGE_COLUMNS, viewMaps(reader))
        : renderRows(options.output, ENTRY_COLUMNS, viewMap(reader, knownMap(name, reader.mapNames()))),
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
