import { describe, expect, it } from 'vitest';
import type { AgentStatus } from '../../../../src/agent/agent.js';
import { newCounters } from '../../../../src/agent/counters.js';
import { type Arrival, emptyDelta } from '../../../../src/agent/delta.js';
import { AgentMetrics } from '../../../../src/agent/metrics/agent-metrics.js';
import type { ServiceStat } from '../../../../src/agent/metrics/service-series.js';
import type { DatapathStats } from '../../../../src/agent/metrics/shunt-metrics.js';
import type { DesiredService } from '../../../../src/model/desired.js';
import { parseExposition } from './exposition.js';

const status: AgentStatus = {
  nodeName: 'n1',
  pid: 1,
  serving: true,
  nodeKnown: true,
  services: 3,
  counters: { ...newCounters(), events: 12, attachErrors: 2, flowsSwept: 7 },
  latencyMs: { samples: 0, p50: undefined, p99: undefined },
  devices: [
    { ifindex: 2, name: 'eth0', class: 'uplink', hooks: [{ hook: 'tc_ingress', program: 'x', how: 'tcx' }] },
  ] as AgentStatus['devices'],
};
const agent = {
  status: () => status,
  progress: { lastQueuedMs: 1000, lastWrittenMs: 2000, pending: () => 4 },
  takenNodePorts: 2,
  healthCheckStats: { servers: 2, listening: 1, failures: 3 },
};

function stat(id: number, counters: Partial<ServiceStat['counters']> = {}, name = `svc-${id}`): ServiceStat {
  return {
    id,
    labels: { namespace: 'default', service: name, port: 'http', protocol: 'TCP', ip_family: 'IPv4' },
    counters: {
      ...{ newFlows: 0, packets: 0, bytes: 0, replyPackets: 0, replyBytes: 0 },
      ...{ refused: 0, dropped: 0, affinityHits: 0 },
      ...counters,
    },
  };
}

function datapath(services: ServiceStat[] = []): DatapathStats {
  return {
    drops: () => [{ reason: 'stale', packets: 5 }],
    paths: () => [{ path: 'local', packets: 8, bytes: 900 }],
    services: () => services,
    tables: () => [
      { name: 'ct_flows', entries: 10, maxEntries: 524_288 },
      { name: 'frags', entries: undefined, maxEntries: 16_384 },
    ],
  };
}

async function scrape(metrics: AgentMetrics, services: ServiceStat[] = []) {
  const text = await metrics.scrape(agent, datapath(services));
  const { families, problems } = parseExposition(text);
  const value = (name: string, labels: Record<string, string> = {}) => {
    const family = families.get(name.replace(/_(sum|count|bucket)$/, '')) ?? families.get(name);
    return family?.series.find(
      (s) => s.name === name && Object.entries(labels).every(([key, wanted]) => s.labels[key] === wanted),
    )?.value;
  };
  return { text, families, problems, value };
}

const make = (servicesMax = 500) => new AgentMetrics({ version: '1.2.3', servicesMax });
const written = (arrivals: Arrival[], full = false, families: (4 | 6)[] = [4]) => ({
  arrivals,
  startedMs: 100,
  endedMs: 103,
  full,
  families: new Set(families),
});

describe('the exposition', () => {
  it('has nothing that promtool would complain about, before and after work', async () => {
    const metrics = make();
    expect((await scrape(metrics)).problems).toEqual([]);
    metrics.delta(emptyDelta());
    metrics.written(written([{ kind: 'Service', atMs: 1 }], true));
    metrics.answered('healthz', 200);
    metrics.requested({ method: 'GET', status: 200, host: '10.96.0.1:443', seconds: 0.1 });
    metrics.requested({ method: 'GET', status: undefined, host: '10.96.0.1:443', seconds: 0.1 });
    const { problems, families } = await scrape(metrics, [stat(1, { newFlows: 3, refused: 1 })]);
    expect(problems).toEqual([]);
    expect([...families.keys()].filter((name) => name.startsWith('kubeproxy_')).sort()).toEqual([
      'kubeproxy_network_programming_duration_seconds',
      'kubeproxy_proxy_healthz_total',
      'kubeproxy_proxy_livez_total',
      'kubeproxy_sync_full_proxy_rules_duration_seconds',
      'kubeproxy_sync_partial_proxy_rules_duration_seconds',
      'kubeproxy_sync_proxy_rules_duration_seconds',
      'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
      'kubeproxy_sync_proxy_rules_endpoint_changes_total',
      'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
      'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
      'kubeproxy_sync_proxy_rules_service_changes_pending',
      'kubeproxy_sync_proxy_rules_service_changes_total',
    ]);
    for (const name of [
      'rest_client_requests_total',
      'process_start_time_seconds',
      'process_cpu_seconds_total',
    ])
      expect(families.has(name), name).toBe(true);
  });

  it('says what the kernel lacks, as of the last start', async () => {
    const metrics = make();
    metrics.missing(['xdpLink']);
    metrics.missing(['tcx', 'conntrackLookup']);
    const { families, problems } = await scrape(metrics);
    expect(problems).toEqual([]);
    expect(families.get('shunt_missing_feature')?.series).toMatchObject([
      { labels: { feature: 'tcx' }, value: 1 },
      { labels: { feature: 'conntrackLookup' }, value: 1 },
    ]);
  });

  it("has upstream's types, help and buckets", async () => {
    const { families } = await scrape(make());
    const sync = families.get('kubeproxy_sync_proxy_rules_duration_seconds');
    expect(sync).toMatchObject({ type: 'histogram', help: '[ALPHA] SyncProxyRules latency in seconds' });
    const les = (name: string) => [
      ...new Set(families.get(name)?.series.flatMap(({ labels }) => labels.le ?? [])),
    ];
    expect(les('kubeproxy_sync_proxy_rules_duration_seconds').join(' ')).toBe(
      '0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 16.384 +Inf',
    );
    const programming = les('kubeproxy_network_programming_duration_seconds');
    expect(programming.slice(0, 5).join(' ')).toBe('0 0.25 0.5 1 2');
    expect(programming.slice(-22).join(' ')).toBe(
      '58 59 60 65 70 75 80 85 90 95 100 105 110 115 120 150 180 210 240 270 300 +Inf',
    );
    expect(families.get('kubeproxy_sync_proxy_rules_no_local_endpoints_total')?.type).toBe('gauge');
  });

  it('stays under 2 MB with 10,000 busy services of the longest names', async () => {
    const long = 'x'.repeat(56);
    const services = Array.from({ length: 10_000 }, (_, i) => {
      const busy = { newFlows: 1e9 + i, packets: 1e12, bytes: 1e15, replyPackets: 1e12, replyBytes: 1e15 };
      const made = stat(i + 1, { ...busy, refused: 1e9, dropped: 1e9, affinityHits: 1e9 }, `${long}-${i}`);
      return { ...made, labels: { ...made.labels, namespace: `${long}-ns`, port: 'a-name-of-15-ch' } };
    });
    const metrics = make();
    const startMs = performance.now();
    const { text, value, problems } = await scrape(metrics, services);
    console.log(
      `scrape of 10,000 services: ${text.length} bytes, ${Math.round(performance.now() - startMs)} ms`,
    );
    expect(problems).toEqual([]);
    expect(text.length).toBeLessThan(2_000_000);
    expect(value('shunt_service_ports_without_series')).toBe(9500);
  }, 20_000);
});

describe("kube-proxy's metrics", () => {
  it('counts changes and measures writes by family', async () => {
    const metrics = make();
    metrics.written(
      written(
        [
          { kind: 'Service', atMs: 1 },
          { kind: 'EndpointSlice', atMs: 1 },
        ],
        true,
      ),
    );
    metrics.written(
      written(
        [
          { kind: 'EndpointSlice', atMs: 1 },
          { kind: 'Node', atMs: 1 },
        ],
        false,
        [6],
      ),
    );
    const { value } = await scrape(metrics);
    const name = 'kubeproxy_sync_proxy_rules_duration_seconds_count';
    expect([value(name, { ip_family: 'IPv4' }), value(name, { ip_family: 'IPv6' })]).toEqual([1, 2]);
    expect(value('kubeproxy_sync_full_proxy_rules_duration_seconds_count', { ip_family: 'IPv6' })).toBe(1);
    expect(value('kubeproxy_sync_partial_proxy_rules_duration_seconds_count', { ip_family: 'IPv6' })).toBe(1);
    expect(value('kubeproxy_sync_proxy_rules_duration_seconds_sum', { ip_family: 'IPv4' })).toBeCloseTo(
      0.003,
    );
    expect(value('kubeproxy_sync_proxy_rules_endpoint_changes_total')).toBe(2);
    expect(value('kubeproxy_sync_proxy_rules_service_changes_total')).toBe(1);
    expect(value('kubeproxy_sync_proxy_rules_endpoint_changes_pending')).toBe(4);
    expect(value('kubeproxy_sync_proxy_rules_last_timestamp_seconds')).toBeCloseTo(
      performance.timeOrigin / 1000 + 2,
      3,
    );
  });

  it('measures the network programming latency from the trigger time, but not of what was listed', async () => {
    const metrics = make();
    const slice = (ageMs: number): Arrival => ({
      kind: 'EndpointSlice',
      atMs: 1,
      family: 6,
      triggerTimeMs: Date.now() - ageMs,
    });
    metrics.written(written([slice(0)], true));
    await new Promise((resolve) => setTimeout(resolve, 400));
    metrics.written(written([slice(300), slice(3_600_000), { kind: 'EndpointSlice', atMs: 1 }]));
    const { value } = await scrape(metrics);
    const name = 'kubeproxy_network_programming_duration_seconds';
    expect(value(`${name}_count`, { ip_family: 'IPv6' })).toBe(1);
    expect(value(`${name}_bucket`, { ip_family: 'IPv6', le: '0.25' })).toBe(0);
    expect(value(`${name}_bucket`, { ip_family: 'IPv6', le: '0.5' })).toBe(1);
    expect(value(`${name}_count`, { ip_family: 'IPv4' })).toBe(0);
  });

  it('counts services whose Local policy finds nobody here', async () => {
    const metrics = make();
    const scope = (whenEmpty: 'drop' | 'reject', backends: number[] = []) => ({ backends, whenEmpty });
    const service = (id: string, change: Partial<DesiredService>) =>
      ({
        id: `${id}/TCP/IPv4`,
        family: 4,
        internalTrafficPolicy: 'Cluster',
        externalTrafficPolicy: 'Cluster',
        frontends: [
          { type: 'ClusterIP', ip: '10.0.0.1', port: 1 },
          { type: 'NodePort', ip: '*', port: 2 },
        ],
        internal: scope('drop'),
        cluster: scope('reject'),
        local: scope('drop'),
        ...change,
      }) as DesiredService;
    const upserts = [
      service('cluster', {}),
      service('internal', { internalTrafficPolicy: 'Local' }),
      service('both', { internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' }),
      service('nobody', { externalTrafficPolicy: 'Local', local: scope('reject') }),
      service('somebody', { externalTrafficPolicy: 'Local', local: scope('drop', [0]) }),
    ];
    const counts = async () => {
      const { value } = await scrape(metrics);
      return ['internal', 'external'].map((traffic_policy) =>
        value('kubeproxy_sync_proxy_rules_no_local_endpoints_total', { traffic_policy, ip_family: 'IPv4' }),
      );
    };
    metrics.delta({ upserts, removals: [], warnings: [] });
    expect(await counts()).toEqual([2, 1]);
    metrics.delta({ upserts: [service('both', {})], removals: ['internal/TCP/IPv4'], warnings: [] });
    expect(await counts()).toEqual([0, 0]);
  });
});

describe("Shunt's metrics", () => {
  it('pass on what agent and data path count', async () => {
    const { value, families } = await scrape(make());
    expect(value('shunt_build_info', { version: '1.2.3' })).toBe(1);
    expect(value('shunt_events_total')).toBe(12);
    expect(value('shunt_attach_errors_total')).toBe(2);
    expect(value('shunt_flows_swept_total')).toBe(7);
    expect(value('shunt_dropped_packets_total', { reason: 'stale' })).toBe(5);
    expect(value('shunt_path_bytes_total', { path: 'local' })).toBe(900);
    expect(value('shunt_table_entries', { table: 'ct_flows' })).toBe(10);
    expect(families.get('shunt_table_entries')?.series).toHaveLength(1);
    expect(value('shunt_attached_programs', { class: 'uplink', hook: 'tc_ingress', how: 'tcx' })).toBe(1);
    expect(value('shunt_health_check_listen_errors_total')).toBe(3);
    expect(value('shunt_health_check_servers_listening')).toBe(1);
  });

  it('gives series to the busiest services, keeps them, and says how many have none', async () => {
    const metrics = make(2);
    const all = [stat(1), stat(2, { newFlows: 1 }), stat(3, { newFlows: 5 }), stat(4, { newFlows: 3 })];
    const names = async (services: ServiceStat[]) => {
      const { families, value } = await scrape(metrics, services);
      const series = families.get('shunt_service_new_flows_total')?.series ?? [];
      return [series.map(({ labels }) => labels.service).sort(), value('shunt_service_ports_without_series')];
    };
    expect(await names(all)).toEqual([['svc-3', 'svc-4'], 1]);
    // Others may become busier: a series that was begun goes on.
    const later = [stat(2, { newFlows: 100 }), ...all.slice(2)];
    expect(await names(later)).toEqual([['svc-3', 'svc-4'], 1]);
    // One is gone, and its id belongs to another service now.
    const replaced = [stat(2, { newFlows: 100 }), stat(3, { newFlows: 5 }), stat(4, { newFlows: 3 }, 'new')];
    expect(await names(replaced)).toEqual([['svc-2', 'svc-3'], 1]);
  });
});
