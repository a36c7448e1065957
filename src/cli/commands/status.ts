import type { Command } from 'commander';
import type { CliEnvironment } from '../environment.js';
import { renderData } from '../output/format.js';
import { renderTable } from '../output/table.js';
import { duration } from '../output/text.js';
import type { PinnedLink } from '../reader.js';
import { type Status, type TableFill, viewStatus } from '../views/status.js';
import { addReadOptions, type ReadOptions } from './read.js';

export function addStatusCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('status')
    .description('the agent, attached hooks, packets by path, drops by reason, how full the tables are');
  addReadOptions(command).action(async (options: ReadOptions) => {
    using live = await environment.openLive(options.pinPath);
    const status = viewStatus(live);
    const { output } = options;
    environment.stdout.write(
      output === 'json' || output === 'yaml'
        ? renderData(output, status)
        : statusText(status, output === 'wide'),
    );
  });
}

/** Counters that are zero are left out, unless `wide`. */
export function statusText(status: Status, wide: boolean): string {
  const paths = Object.entries(status.paths).filter(([, c]) => wide || c.packets > 0);
  const drops = Object.entries(status.drops).filter(([, packets]) => wide || packets > 0);
  return [
    `layout  v${status.layoutVersion} at ${status.pinPath}\n`,
    `agent   ${agentText(status.agent)}\n`,
    '\n',
    renderTable(
      [
        { head: 'DEVICE', cell: (d) => d.device },
        { head: 'LINK', cell: (d) => d.type },
        { head: 'HOOKS', cell: (d) => d.hooks.join(' ') },
      ],
      attachments(status.links),
      wide,
    ),
    '\n',
    renderTable(
      [
        { head: 'PATH', cell: ([name]) => name },
        { head: 'PACKETS', cell: ([, c]) => String(c.packets), align: 'right' },
        { head: 'BYTES', cell: ([, c]) => String(c.bytes), align: 'right' },
      ],
      paths,
      wide,
    ),
    '\n',
    renderTable(
      [
        { head: 'DROP', cell: ([name]) => name },
        { head: 'PACKETS', cell: ([, packets]) => String(packets), align: 'right' },
      ],
      drops,
      wide,
    ),
    '\n',
    renderTable<TableFill>(
      [
        { head: 'TABLE', cell: (t) => t.name },
        { head: 'ENTRIES', cell: (t) => String(t.entries), align: 'right' },
        { head: 'MAX', cell: (t) => String(t.maxEntries), align: 'right' },
        { head: 'FULL', cell: (t) => `${((100 * t.entries) / t.maxEntries).toFixed(1)} %`, align: 'right' },
      ],
      status.tables,
      wide,
    ),
  ].join('');
}

/** One line per device and kind of link; socket hooks belong to no device. */
function attachments(links: PinnedLink[]): { device: string; type: string; hooks: string[] }[] {
  const rows = new Map<string, { device: string; type: string; hooks: string[] }>();
  for (const { device = '', type, hook, attached } of links) {
    const row = rows.get(`${device} ${type}`) ?? { device, type, hooks: [] };
    row.hooks.push(attached ? hook : `${hook}(detached)`);
    rows.set(`${device} ${type}`, row);
  }
  return [...rows.values()];
}

function agentText({ lastSeenSeconds, alive }: Status['agent']): string {
  if (lastSeenSeconds === null) return 'never seen';
  const seen = `seen ${duration(lastSeenSeconds)} ago`;
  return alive ? `alive, ${seen}` : `not running: ${seen}. traffic goes on with what the maps say`;
}
