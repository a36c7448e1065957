/** The packet bench as a process of its own: it needs a network namespace that nothing else uses. */
import { PacketBench } from './bench.js';
import { idOf, packetCases } from './cases.js';

export interface WorkerRequest {
  rounds: number;
  /** Parts of case ids, any of which selects a case; empty: all. */
  filters: string[];
  /** Object files; the first is the one under test. */
  objects: string[];
}

/** `worker.js <request as JSON>`: progress to stderr, results as one line of JSON to stdout. */
async function main(): Promise<void> {
  const request = JSON.parse(process.argv[2] as string) as WorkerRequest;
  const wanted = (id: string) => request.filters.length === 0 || request.filters.some((f) => id.includes(f));
  const cases = packetCases().filter((c) => wanted(idOf(c)));
  await using bench = await PacketBench.open({ objects: request.objects, cases });
  bench.verify();
  const results = bench.measure(request.rounds, (round) => {
    process.stderr.write(`round ${round + 1} of ${request.rounds}\n`);
  });
  bench.verify();
  process.stdout.write(`${JSON.stringify(results)}\n`);
}

await main();
