/** docs/BENCHMARKS.md from one run. */
import { costTable, lossesOf, packetTable, type Report, renderMarkdown, speedTable } from './report.js';

export function renderDocs(report: Report): string {
  return `${[
    '# Benchmarks',
    '',
    'Written by `npm run bench -- --write-docs`; do not edit. Raw figures: `build/bench/latest.json`.',
    '',
    ...machine(report),
    ...packets(report),
    ...endToEnd(report),
  ].join('\n')}\n`;
}

function machine({ time, mode, machine: m }: Report): string[] {
  const lines = [
    `Measured ${time.slice(0, 10)} (\`--${mode}\`) on Linux ${m.kernel}, ${m.cpus} x ${m.cpu}, ${m.memoryGiB} GiB.`,
    'No NIC took part: every device is a veth pair between network namespaces of one machine. Compare figures within this page; on other hardware',
    'they differ, and ratios less than the figures themselves.',
    '',
  ];
  if (m.loadBefore > 0.5) {
    lines.push(
      `The machine was not idle (load ${m.loadBefore} before the start): trust ratios and medians, not single figures.`,
      '',
    );
  }
  return lines;
}

function packets({ packet }: Report): string[] {
  if (packet.length === 0) return [];
  return [
    '## One packet through one program',
    '',
    'Nanoseconds of the program alone, median ± median absolute deviation over interleaved rounds, by `BPF_PROG_TEST_RUN`. A driver program restores',
    'the packet before each run and tail-calls the program under test; the same driver before a program that does nothing is measured beside it in every round and',
    'subtracted. Each case first proves on a few packets, by verdict and counters, that it takes the path that its name says.',
    '',
    'What this leaves out: the skb, the driver of a NIC, the stack behind the program. The one flow of an *established* case is in the CPU cache, as is everything else;',
    '*65,536 flows in turn* and *10,000 services in turn* show what cold caches cost. *table full*: every new flow evicts another from an LRU. The UDP refusal includes what',
    'the driver needs to take the ICMP headers away again.',
    '',
    renderMarkdown(packetTable(packet)),
    '',
  ];
}

function endToEnd({ endToEnd: results, setup }: Report): string[] {
  if (results.length === 0 || !setup) return [];
  const losses = lossesOf(results);
  return [
    '## End to end',
    '',
    `A single-threaded load generator with ${setup.connections} concurrent connections (CPU ${setup.clientCpu}) and one server for each pod (CPU ${setup.serverCpu}), measurements of ${setup.seconds} s,`,
    `variants in turns, medians of the rounds; ratios are of CPU time and taken within a round: below 1 is cheaper. MTU ${setup.mtu}. *New connections* are short: connect, request, response, close. *Requests* are on`,
    'connections that stay. Three clusters in a box stand side by side: *direct* has no load balancer and its client talks to the pod; *nftables* has rules of the shape that',
    'kube-proxy writes in nftables mode (and so connection tracking); *Shunt* has an agent in each node. *services* are those in the maps besides the ones measured; all variants but *direct* have them.',
    '',
    '- Two nodes, pods with /32 routes, no other netfilter rules. From a pod Shunt works at tc ingress and egress of its veth; from outside at tc ingress of the uplink, or in XDP',
    '  where the scenario says so.',
    '- The XDP scenario runs native XDP on veth, which needs checksum offload off at every sender; so do its *direct* and *nftables*. It can be compared with itself, not with the tc rows.',
    '- From outside, *direct* goes straight to the node of the pod: one hop less than a NodePort of the other node.',
    '- The kernel does the work for a packet on the CPU that sent it, up to the receiving socket. With client and server on one CPU each, a',
    '  translation towards the server is paid by the client, and the other way round.',
    '- CPU time is that of client and server with all that the kernel does in their name (network namespaces in between included), by their cgroups; what it puts off to ksoftirqd is not in it.',
    '- With 32 connections in a closed loop both CPUs are busy: latencies are those of a saturated machine.',
    '',
    renderMarkdown(costTable(results)),
    '',
    '*errors*: failed operations of all rounds, direct / nftables / Shunt.',
    '',
    renderMarkdown(speedTable(results)),
    '',
    '### Where nftables costs less',
    '',
    ...(losses.length > 0 ? losses.map((line) => `- ${line}`) : ['In none of these measurements.']),
    '',
  ];
}
