import { type Command, Option } from 'commander';
import { DEFAULT_PIN_PATH } from '../../agent/options.js';
import type { CliEnvironment } from '../environment.js';
import { FORMATS, type Format, renderData, renderRows } from '../output/format.js';
import type { Column } from '../output/table.js';
import type { LiveState } from '../reader.js';

export interface ReadOptions {
  output: Format;
  pinPath: string;
  namespace?: string;
}

/** A command that prints one row per thing. */
export interface ListCommand<Row> {
  name: string;
  summary: string;
  /** Whether -n/--namespace applies. */
  namespaced: boolean;
  columns: Column<Row>[];
  view(live: LiveState, namespace: string | undefined): Row[];
  /** What JSON and YAML show of a row; default: the row. */
  data?(row: Row): unknown;
}

export function addListCommand<Row>(
  program: Command,
  environment: CliEnvironment,
  list: ListCommand<Row>,
): void {
  const command = program.command(list.name).description(list.summary);
  if (list.namespaced) command.option('-n, --namespace <name>', 'only this namespace');
  addReadOptions(command).action(async (options: ReadOptions) => {
    using live = await environment.openLive(options.pinPath);
    const rows = list.view(live, options.namespace);
    const { output } = options;
    const machine = output === 'json' || output === 'yaml';
    // A mistyped namespace looks like an empty one; scripts read the other formats.
    if (!machine && rows.length === 0 && options.namespace !== undefined)
      environment.stderr.write(`shunt: no ${list.name} in namespace ${options.namespace}\n`);
    environment.stdout.write(
      machine
        ? renderData(output, list.data ? rows.map(list.data) : rows)
        : renderRows(output, list.columns, rows),
    );
  });
}

/** Options that every command has which reads the maps. */
export function addReadOptions(command: Command): Command {
  return command
    .addOption(new Option('-o, --output <format>', 'how to print').choices([...FORMATS]).default('table'))
    .option('--pin-path <path>', 'where the agent pins its maps', DEFAULT_PIN_PATH);
}
