/** `npm run bench`: measures, prints tables, writes build/bench/latest.json and, when asked, docs/BENCHMARKS.md. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { bpfObjectPath, packageRoot } from '../src/native/index.js';
import { renderDocs } from './docs.js';
import { type EndToEndResult, measureEndToEnd, SCENARIOS } from './end-to-end/bench.js';
import { type BenchCpus, Fleet } from './end-to-end/variants.js';
import { describeMachine } from './machine.js';
import { type BenchOptions, HELP, parseBenchOptions } from './options.js';
import { runPacketBench } from './packet/run.js';
import { costTable, packetTable, type Report, renderText, speedTable } from './report.js';

const CONNECTIONS = 32;
const MTU = 1500;
const WHOLE_MATRIX_AT = 1000;

/** The load generator on the first CPU, servers on the last: a kernel's work for a packet is done where it was sent. */
function chooseCpus(): BenchCpus {
  return { client: '0', server: String(cpus().length - 1) };
}

function log(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

async function runEndToEnd(o: BenchOptions): Promise<EndToEndResult[]> {
  const scenarios = SCENARIOS.filter(
    (s) => o.filters.length === 0 || o.filters.some((f) => s.name.includes(f)),
  );
  const results: EndToEndResult[] = [];
  for (const services of o.services) {
    for (const xdp of [false, true]) {
      if (!scenarios.some((s) => s.xdp === xdp)) continue;
      const pinned = chooseCpus();
      // The whole matrix once: with other numbers of services one family and protocol tells enough.
      const isWhole = o.services.length === 1 || services === WHOLE_MATRIX_AT;
      const families = isWhole ? o.families : o.families.slice(0, 1);
      const protocols = isWhole ? o.protocols : o.protocols.slice(0, 1);
      await using fleet = await Fleet.start({ services, families, xdp, cpus: pinned, log });
      const measured = await measureEndToEnd(fleet, {
        scenarios,
        families,
        protocols,
        rounds: o.endToEndRounds,
        seconds: o.seconds,
        connections: CONNECTIONS,
        cpus: pinned,
        onRound: (round) =>
          log(`end to end, ${services} services: round ${round + 1} of ${o.endToEndRounds}`),
      });
      results.push(...measured);
    }
  }
  return results;
}

function print(report: Report): void {
  const { machine } = report;
  const parts = [
    `Linux ${machine.kernel}, ${machine.cpus} x ${machine.cpu}; load before: ${machine.loadBefore}`,
  ];
  if (report.packet.length > 0) parts.push(renderText(packetTable(report.packet)));
  if (report.endToEnd.length > 0) {
    parts.push(renderText(costTable(report.endToEnd)), renderText(speedTable(report.endToEnd)));
  }
  process.stdout.write(`\n${parts.join('\n\n')}\n`);
}

async function main(): Promise<void> {
  const o = parseBenchOptions(process.argv.slice(2));
  if (o.help) {
    process.stdout.write(HELP);
    return;
  }
  const pinned = chooseCpus();
  const report: Report = {
    time: new Date().toISOString(),
    mode: o.mode,
    machine: describeMachine(),
    packet: [],
    endToEnd: [],
    setup: {
      connections: CONNECTIONS,
      seconds: o.seconds,
      mtu: MTU,
      clientCpu: pinned.client,
      serverCpu: pinned.server,
    },
  };
  if (o.parts.includes('packet')) {
    const objects = [o.object ?? bpfObjectPath(), ...(o.against === undefined ? [] : [o.against])];
    const request = { rounds: o.packetRounds, filters: o.filters, objects };
    report.packet = await runPacketBench(request, pinned.server, (line) => log(`packets: ${line}`));
  }
  if (o.parts.includes('end-to-end')) report.endToEnd = await runEndToEnd(o);
  print(report);
  const directory = join(packageRoot(), 'build', 'bench');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'latest.json'), `${JSON.stringify(report, null, 2)}\n`);
  log('wrote build/bench/latest.json');
  if (o.writeDocs) {
    writeFileSync(join(packageRoot(), 'docs', 'BENCHMARKS.md'), renderDocs(report));
    log('wrote docs/BENCHMARKS.md');
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
