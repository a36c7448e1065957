/** Results as text: tables for the terminal and for docs. Pure. */
import type { EndToEndResult, VariantResult } from './end-to-end/bench.js';
import type { Machine } from './machine.js';
import type { PacketResult } from './packet/bench.js';
import type { Spread } from './stats.js';

export interface Report {
  /** ISO 8601. */
  time: string;
  mode: 'quick' | 'full';
  machine: Machine;
  packet: PacketResult[];
  endToEnd: EndToEndResult[];
  /** Of the end-to-end part. */
  setup?: { connections: number; seconds: number; mtu: number; clientCpu: string; serverCpu: string };
}

export interface Table {
  head: string[];
  rows: string[][];
}

const COLUMNS = [
  ['tcp', 4],
  ['tcp', 6],
  ['udp', 4],
  ['udp', 6],
] as const;

const nanoseconds = ({ median, mad }: Spread) => `${median.toFixed(0)} ±${mad.toFixed(0)}`;
const ratio = ({ median, mad }: Spread) => `${median.toFixed(2)} ±${mad.toFixed(2)}`;

/** One row for each case, one column for each protocol and family; the compared object in further columns. */
export function packetTable(results: readonly PacketResult[]): Table {
  const compared = results.some((r) => r.object === 1);
  const names = [...new Set(results.map((r) => r.name))];
  return {
    head: ['ns per packet', 'TCP, IPv4', 'TCP, IPv6', 'UDP, IPv4', 'UDP, IPv6'],
    rows: names.map((name) => [
      name,
      ...COLUMNS.map(([protocol, family]) => {
        const of = (object: number) =>
          results.find(
            (r) => r.name === name && r.protocol === protocol && r.family === family && r.object === object,
          );
        const mine = of(0);
        const other = of(1);
        if (!mine) return '';
        if (!compared || !other) return nanoseconds(mine.net);
        const change = mine.net.median - other.net.median;
        return `${nanoseconds(other.net)} -> ${nanoseconds(mine.net)} (${change > 0 ? '+' : ''}${change.toFixed(0)})`;
      }),
    ]),
  };
}

/** What one operation costs: the figure that others at work on the machine change least. */
export function costTable(results: readonly EndToEndResult[]): Table {
  const cost = ({ cpuUs }: { cpuUs: Spread }) => cpuUs.median.toFixed(1);
  return {
    head: [
      'CPU µs per operation',
      'services',
      'direct',
      'nftables',
      'Shunt',
      'nftables / direct',
      'Shunt / direct',
      'Shunt / nftables',
    ],
    rows: results.map((r) => [
      ...titleOf(r),
      cost(r.variants.direct),
      cost(r.variants.nftables),
      cost(r.variants.shunt),
      ratio(r.variants.nftables.ofDirect),
      ratio(r.variants.shunt.ofDirect),
      ratio(r.ofNftables),
    ]),
  };
}

/** Throughput and latency of the same measurements. */
export function speedTable(results: readonly EndToEndResult[]): Table {
  const speed = ({ perSecond, p50us, p99us }: VariantResult) =>
    `${Math.round(perSecond.median).toLocaleString('en-US')} (${p50us.toFixed(0)} / ${p99us.toFixed(0)})`;
  return {
    head: ['per second (p50 / p99 in µs)', 'services', 'direct', 'nftables', 'Shunt', 'errors'],
    rows: results.map((r) => [
      ...titleOf(r),
      speed(r.variants.direct),
      speed(r.variants.nftables),
      speed(r.variants.shunt),
      errorText(r),
    ]),
  };
}

function titleOf(r: EndToEndResult): [string, string] {
  return [`${r.scenario}, ${modeText(r)}`, r.services.toLocaleString('en-US')];
}

function modeText(r: EndToEndResult): string {
  const what = {
    TCP: { crr: 'new connections', rr: 'requests' },
    UDP: { crr: 'new sockets', rr: 'datagrams' },
  };
  return `${what[r.protocol][r.mode]}, ${r.protocol}, IPv${r.family}`;
}

function errorText(r: EndToEndResult): string {
  const { direct, nftables, shunt } = r.variants;
  return `${direct.errors} / ${nftables.errors} / ${shunt.errors}`;
}

/** Sentences about each measurement in which Shunt costs more, worst first. */
export function lossesOf(results: readonly EndToEndResult[]): string[] {
  return results
    .filter((r) => r.ofNftables.median > 1)
    .sort((a, b) => b.ofNftables.median - a.ofNftables.median)
    .map((r) => {
      const more = ((r.ofNftables.median - 1) * 100).toFixed(1);
      return `${r.scenario}, ${modeText(r)}, ${r.services.toLocaleString('en-US')} services: ${more} % more CPU time than nftables`;
    });
}

/** Columns aligned with spaces; the first to the left, the others to the right. */
export function renderText(table: Table): string {
  const all = [table.head, ...table.rows];
  const widths = table.head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  '),
    )
    .join('\n');
}

export function renderMarkdown(table: Table): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(table.head),
    line(table.head.map((_, i) => (i === 0 ? '---' : '--:'))),
    ...table.rows.map(line),
  ].join('\n');
}
