/** Connections and requests per second through each variant, in turns. */
import { type Box, endpoint, generateLoad, type LoadReport, type Place } from '../../box/index.js';
import { ratios, rotated, type Spread, spread } from '../stats.js';
import { cpuMicroseconds } from './cpu-time.js';
import { clusterEndpoint, PORTS, podBehind, type Target } from './services.js';
import { type BenchCpus, type Fleet, pathCounts, VARIANTS, type Variant } from './variants.js';

/** crr: connect, request, response, close. rr: request and response on connections that stay. */
export const MODES = ['crr', 'rr'] as const;
export type Mode = (typeof MODES)[number];

export interface Scenario {
  name: string;
  target: Target;
  from: 'pod' | 'outside';
  xdp: boolean;
  /** Counters of node1 that prove the way which the scenario claims. */
  paths: string[];
}

export const SCENARIOS: Scenario[] = [
  {
    name: 'pod -> ClusterIP, backend on its node',
    target: 'same',
    from: 'pod',
    xdp: false,
    paths: ['local', 'reply_egress'],
  },
  {
    name: 'pod -> ClusterIP, backend on another node',
    target: 'other',
    from: 'pod',
    xdp: false,
    paths: ['local', 'reply_egress'],
  },
  {
    name: 'outside -> NodePort, backend on another node (tc)',
    target: 'other',
    from: 'outside',
    xdp: false,
    paths: ['remote_tc', 'reply_tc'],
  },
  {
    name: 'outside -> NodePort, backend on another node (XDP)',
    target: 'other',
    from: 'outside',
    xdp: true,
    paths: ['remote_xdp', 'reply_xdp'],
  },
];

export interface EndToEndOptions {
  scenarios: readonly Scenario[];
  families: readonly (4 | 6)[];
  protocols: readonly ('TCP' | 'UDP')[];
  rounds: number;
  /** Of one measurement. */
  seconds: number;
  connections: number;
  cpus: BenchCpus;
  onRound(round: number): void;
}

export interface VariantResult {
  perSecond: Spread;
  /** Of client, server and the kernel on their behalf, for one operation. */
  cpuUs: Spread;
  /** Of one operation, in microseconds. */
  p50us: number;
  p99us: number;
  /** Failed operations of all rounds. */
  errors: number;
  /** cpuUs round by round against that of `direct`. */
  ofDirect: Spread;
}

export interface EndToEndResult {
  id: string;
  scenario: string;
  mode: Mode;
  protocol: 'TCP' | 'UDP';
  family: 4 | 6;
  services: number;
  variants: Record<Variant, VariantResult>;
  /** Shunt's cpuUs against that of nftables, round by round; below 1 Shunt is cheaper. */
  ofNftables: Spread;
}

interface Sample extends LoadReport {
  cpuUs: number;
}

interface Measurement {
  scenario: Scenario;
  mode: Mode;
  protocol: 'TCP' | 'UDP';
  family: 4 | 6;
  samples: Record<Variant, Sample[]>;
}

/**
 * Measures every scenario in every variant, several rounds in turns.
 * @throws Error when nothing gets through, or Shunt's counters show another way than the scenario's.
 */
export async function measureEndToEnd(fleet: Fleet, o: EndToEndOptions): Promise<EndToEndResult[]> {
  const scenarios = o.scenarios.filter((s) => s.xdp === fleet.options.xdp);
  const all: Measurement[] = scenarios.flatMap((scenario) =>
    o.families.flatMap((family) =>
      o.protocols.flatMap((protocol) =>
        MODES.map((mode) => ({
          scenario,
          mode,
          protocol,
          family,
          samples: { direct: [], nftables: [], shunt: [] },
        })),
      ),
    ),
  );
  for (let round = 0; round < o.rounds; round++) {
    for (const m of rotated(all, round)) {
      for (const variant of rotated(VARIANTS, round)) {
        m.samples[variant].push(await sample(fleet.box(variant), variant, m, o));
      }
    }
    o.onRound(round);
  }
  await proveWays(fleet.box('shunt'), scenarios);
  return all.map((m) => summarize(m, fleet.options.services));
}

async function sample(box: Box, variant: Variant, m: Measurement, o: EndToEndOptions): Promise<Sample> {
  const from: Place = m.scenario.from === 'pod' ? box.pod('a1') : box.outside;
  const busy = () => cpuMicroseconds(from) + cpuMicroseconds(podBehind(box, m.scenario.target));
  const before = busy();
  const report = await generateLoad(from, address(box, variant, m), {
    mode: m.mode,
    protocol: m.protocol === 'TCP' ? 'tcp' : 'udp',
    connections: o.connections,
    seconds: o.seconds,
    // Every operation counts: the CPU time of a warm-up could not be told apart.
    warmupMs: 0,
    cpus: o.cpus.client,
  });
  if (report.ops === 0) {
    throw new Error(
      `measure ${idOf(m)} by ${variant}: nothing got through, ${JSON.stringify(report.errorNames)} (EPROTO).`,
    );
  }
  return { ...report, cpuUs: (busy() - before) / report.ops };
}

function address(box: Box, variant: Variant, m: Measurement): string {
  const { target, from } = m.scenario;
  const ports = PORTS[m.protocol];
  if (variant === 'direct') {
    const pod = podBehind(box, target);
    return endpoint(m.family === 4 ? pod.ipv4 : pod.ipv6, ports.pod);
  }
  if (from === 'pod') return clusterEndpoint(m.family, target, m.protocol);
  const node = box.node('node1');
  return endpoint(m.family === 4 ? node.ipv4 : node.ipv6, ports.nodePort[target]);
}

async function proveWays(box: Box, scenarios: readonly Scenario[]): Promise<void> {
  const counts = await pathCounts(box, 'node1');
  for (const scenario of scenarios) {
    const unused = scenario.paths.filter((path) => !counts[path]);
    if (unused.length > 0) {
      throw new Error(
        `check "${scenario.name}": no packet took ${unused.join(', ')} on node1 (EPROTO). ` +
          `The scenario does not measure what it says; counted: ${JSON.stringify(counts)}.`,
      );
    }
  }
}

function idOf(m: Measurement): string {
  return `${m.scenario.name}, ${m.mode}, ${m.protocol}, IPv${m.family}`;
}

function summarize(m: Measurement, services: number): EndToEndResult {
  const all = (variant: Variant, pick: (sample: Sample) => number) => m.samples[variant].map(pick);
  const middle = (variant: Variant, pick: (sample: Sample) => number) => spread(all(variant, pick)).median;
  const cost = (variant: Variant) => all(variant, (sample) => sample.cpuUs);
  const result = (variant: Variant): VariantResult => ({
    perSecond: spread(all(variant, (sample) => sample.opsPerSecond)),
    cpuUs: spread(cost(variant)),
    p50us: middle(variant, (sample) => sample.p50us),
    p99us: middle(variant, (sample) => sample.p99us),
    errors: m.samples[variant].reduce((total, sample) => total + sample.errors, 0),
    ofDirect: spread(ratios(cost(variant), cost('direct'))),
  });
  return {
    id: `${idOf(m)}, ${services} services`,
    scenario: m.scenario.name,
    mode: m.mode,
    protocol: m.protocol,
    family: m.family,
    services,
    variants: { direct: result('direct'), nftables: result('nftables'), shunt: result('shunt') },
    ofNftables: spread(ratios(cost('shunt'), cost('nftables'))),
  };
}
