import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { AgentStatus } from '../agent.js';
import type { Counters } from '../counters.js';
import type { Written } from '../delta.js';
import { ServiceSeries, type ServiceStat } from './service-series.js';

/** What the data path has counted, at one moment. */
export interface DatapathStats {
  drops(): { reason: string; packets: number }[];
  paths(): { path: string; packets: number; bytes: number }[];
  services(): Iterable<ServiceStat>;
  /** Entries are those of the last whole walk; undefined: none yet. */
  tables(): { name: string; entries: number | undefined; maxEntries: number }[];
}

export interface ShuntSources {
  status: AgentStatus;
  takenNodePorts: number;
  healthChecks: { servers: number; listening: number; failures: number };
  datapath: DatapathStats;
}

const COUNTERS: { [K in keyof Counters]: [name: string, help: string] } = {
  events: ['events', 'Object changes received from the API server or the manifests'],
  batches: ['batches', 'Groups of changes that went through the model together'],
  servicesRecomputed: ['services_recomputed', 'Service ports computed anew'],
  opsApplied: ['map_operations', 'Map operations written'],
  applies: ['plans', 'Plans written to the maps'],
  applyErrors: ['plan_errors', 'Plans, or removals behind them, that failed'],
  fullResyncs: ['full_resyncs', 'Comparisons of everything wanted with everything in the maps'],
  hostEvents: ['host_events', 'Changes of links, addresses, routes and neighbours that mattered'],
  hostResyncs: ['host_resyncs', 'Times that netlink events were lost and everything was read anew'],
  attaches: ['attaches', 'Programs attached to devices and cgroups'],
  attachErrors: ['attach_errors', 'Programs that could not be attached'],
  restored: ['restored', 'Programs and pins that somebody else had removed, put back'],
  fibGenerations: ['fib_generations', 'Times that cached next hops were made worthless'],
  flowsSwept: ['flows_swept', 'Expired flows removed'],
};

const SERVICE_LABELS = ['namespace', 'service', 'port', 'protocol', 'ip_family'] as const;

const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Shunt's own metrics. Their number does not grow with the cluster: Services beyond a limit get no series. */
export class ShuntMetrics {
  readonly #counters: [keyof Counters, Counter][];
  readonly #latency: Histogram;
  readonly #drops: Counter<'reason'>;
  readonly #paths: Record<'packets' | 'bytes', Counter<'path'>>;
  readonly #tables: Record<'entries' | 'max_entries', Gauge<'table'>>;
  readonly #gauges: Record<string, Gauge>;
  readonly #devices: Gauge<'class' | 'hook' | 'how'>;
  readonly #missing: Gauge<'feature'>;
  readonly #healthFailures: Counter;
  readonly #series: ServiceSeries;
  readonly #service: Record<
    'new_flows' | 'packets' | 'bytes' | 'refused' | 'dropped' | 'affinity_hits',
    Counter<(typeof SERVICE_LABELS)[number] | 'direction'>
  >;

  constructor(registry: Registry, o: { version: string; servicesMax: number }) {
    const registers = [registry];
    const counter = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter<L>({ name: `shunt_${name}_total`, help, labelNames, registers });
    const gauge = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Gauge<L>({ name: `shunt_${name}`, help, labelNames, registers });
    gauge('build_info', 'Version of Shunt; always 1', ['version']).set({ version: o.version }, 1);
    this.#counters = (Object.keys(COUNTERS) as (keyof Counters)[]).map((key) => [
      key,
      counter(...COUNTERS[key]),
    ]);
    this.#latency = new Histogram({
      name: 'shunt_sync_latency_seconds',
      help: 'From an object change received to the maps written, per change',
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.#drops = counter('dropped_packets', 'Packets dropped, by cause', ['reason']);
    this.#paths = {
      packets: counter('path_packets', 'Packets by what became of them', ['path']),
      bytes: counter('path_bytes', 'Bytes by what became of them', ['path']),
    };
    this.#tables = {
      entries: gauge('table_entries', 'Entries in use at the end of the last walk', ['table']),
      max_entries: gauge('table_max_entries', 'Entries that the table holds at most', ['table']),
    };
    this.#gauges = {
      serving: gauge('serving', '1 once the maps hold everything that was listed'),
      node_known: gauge('node_known', '1 once the Node object of this node has been seen'),
      service_ports: gauge('service_ports', 'Service ports served, one per family'),
      service_ports_without_series: gauge(
        'service_ports_without_series',
        'Service ports with traffic that got no series of their own; raise --metrics-services',
      ),
      node_ports_taken: gauge(
        'node_ports_taken',
        'NodePorts whose number a process of this node listens on: the process hears nothing from outside',
      ),
      health_check_servers: gauge('health_check_servers', 'Sockets wanted for healthCheckNodePort'),
      health_check_servers_listening: gauge(
        'health_check_servers_listening',
        'Sockets for healthCheckNodePort that listen',
      ),
    };
    this.#devices = gauge('attached_programs', 'Programs on devices', ['class', 'hook', 'how']);
    this.#missing = gauge('missing_feature', 'Always 1, for what this kernel cannot do; see shunt doctor', [
      'feature',
    ]);
    this.#healthFailures = counter(
      'health_check_listen_errors',
      'Failures to listen on a healthCheckNodePort',
    );
    this.#series = new ServiceSeries(o.servicesMax);
    this.#service = {
      new_flows: counter('service_new_flows', 'Flows and translated connects begun', SERVICE_LABELS),
      packets: counter('service_packets', 'Packets translated', [...SERVICE_LABELS, 'direction']),
      bytes: counter('service_bytes', 'Bytes translated', [...SERVICE_LABELS, 'direction']),
      refused: counter('service_refused', 'Packets and connects refused', SERVICE_LABELS),
      dropped: counter('service_dropped', 'Packets dropped', SERVICE_LABELS),
      affinity_hits: counter('service_affinity_hits', 'New flows that affinity decided', SERVICE_LABELS),
    };
  }

  missing(features: readonly string[]): void {
    this.#missing.reset();
    for (const feature of features) this.#missing.set({ feature }, 1);
  }

  written({ arrivals, endedMs }: Written): void {
    for (const { atMs } of arrivals) this.#latency.observe((endedMs - atMs) / 1000);
  }

  refresh({ status, healthChecks, takenNodePorts, datapath }: ShuntSources): void {
    this.#gauges.node_ports_taken?.set(takenNodePorts);
    for (const [key, counter] of this.#counters) set(counter, status.counters[key]);
    this.#refreshGauges(status, healthChecks);
    for (const { reason, packets } of cleared(this.#drops, datapath.drops()))
      this.#drops.inc({ reason }, packets);
    const paths = datapath.paths();
    for (const field of ['packets', 'bytes'] as const) {
      for (const row of cleared(this.#paths[field], paths))
        this.#paths[field].inc({ path: row.path }, row[field]);
    }
    for (const { name: table, entries, maxEntries } of datapath.tables()) {
      if (entries !== undefined) this.#tables.entries.set({ table }, entries);
      this.#tables.max_entries.set({ table }, maxEntries);
    }
    this.#refreshServices(datapath.services());
  }

  #refreshGauges(status: AgentStatus, healthChecks: ShuntSources['healthChecks']): void {
    const values: Record<string, number> = {
      serving: Number(status.serving),
      node_known: Number(status.nodeKnown),
      service_ports: status.services,
      health_check_servers: healthChecks.servers,
      health_check_servers_listening: healthChecks.listening,
    };
    for (const [name, value] of Object.entries(values)) this.#gauges[name]?.set(value);
    set(this.#healthFailures, healthChecks.failures);
    this.#devices.reset();
    for (const device of status.devices) {
      for (const { hook, how } of device.hooks) this.#devices.inc({ class: device.class, hook, how });
    }
  }

  #refreshServices(services: Iterable<ServiceStat>): void {
    for (const counter of Object.values(this.#service)) counter.reset();
    const { chosen, leftOut } = this.#series.choose(services);
    this.#gauges.service_ports_without_series?.set(leftOut);
    const { new_flows, packets, bytes, refused, dropped, affinity_hits } = this.#service;
    for (const { labels, counters: c } of chosen) {
      new_flows.inc(labels, c.newFlows);
      packets.inc({ ...labels, direction: 'request' }, c.packets);
      packets.inc({ ...labels, direction: 'reply' }, c.replyPackets);
      bytes.inc({ ...labels, direction: 'request' }, c.bytes);
      bytes.inc({ ...labels, direction: 'reply' }, c.replyBytes);
      // Rare ones only where there is something to see: nearly all would be 0 for ever.
      if (c.refused > 0) refused.inc(labels, c.refused);
      if (c.dropped > 0) dropped.inc(labels, c.dropped);
      if (c.affinityHits > 0) affinity_hits.inc(labels, c.affinityHits);
    }
  }
}

/** The data path counts; the client library only passes it on. */
function set(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

function cleared<Row>(counter: { reset(): void }, rows: Row[]): Row[] {
  counter.reset();
  return rows;
}
