import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { DesiredService } from '../../model/desired.js';
import type { Delta, Written } from '../delta.js';

const FAMILIES = { 4: 'IPv4', 6: 'IPv6' } as const;
type FamilyName = (typeof FAMILIES)[4 | 6];
const NAMES: FamilyName[] = ['IPv4', 'IPv6'];

const SYNC_BUCKETS = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
/** Seconds; the same list as upstream, so that quantiles of both can be compared. */
const PROGRAMMING_BUCKETS = [
  ...[0, 0.25, 0.5],
  ...Array.from({ length: 60 }, (_, i) => i + 1),
  ...Array.from({ length: 12 }, (_, i) => 65 + 5 * i),
  ...[150, 180, 210, 240, 270, 300],
];

/** What upstream counts of the writer's progress. */
export interface SyncProgress {
  readonly lastQueuedMs: number | undefined;
  readonly lastWrittenMs: number | undefined;
  pending(kind: 'Service' | 'EndpointSlice'): number;
}

/**
 * kube-proxy's metrics that mean something here, under their names, labels, types and buckets. Those about
 * iptables, nftables and ipvs rules are absent: there are no such rules.
 */
export class KubeProxyMetrics {
  readonly #sync: Histogram<'ip_family'>;
  readonly #syncFull: Histogram<'ip_family'>;
  readonly #syncPartial: Histogram<'ip_family'>;
  readonly #programming: Histogram<'ip_family'>;
  readonly #lastWritten: Gauge<'ip_family'>;
  readonly #lastQueued: Gauge<'ip_family'>;
  readonly #changes: Record<'EndpointSlice' | 'Service', { total: Counter; pending: Gauge }>;
  readonly #noLocal: Gauge<'ip_family' | 'traffic_policy'>;
  readonly #answers: Record<'healthz' | 'livez', Counter<'code'>>;
  /** Service ports whose Local policy finds nobody here, by family and policy. */
  readonly #withoutLocal = new Map<string, Set<string>>();
  readonly #startedAt = Date.now();
  #served = false;

  constructor(registry: Registry) {
    const registers = [registry];
    const histogram = (name: string, help: string, buckets = SYNC_BUCKETS) => {
      const made = new Histogram({
        name: `kubeproxy_${name}`,
        help: `[ALPHA] ${help}`,
        labelNames: ['ip_family'] as const,
        buckets,
        registers,
      });
      for (const ip_family of NAMES) made.zero({ ip_family });
      return made;
    };
    this.#sync = histogram('sync_proxy_rules_duration_seconds', 'SyncProxyRules latency in seconds');
    this.#syncFull = histogram(
      'sync_full_proxy_rules_duration_seconds',
      'SyncProxyRules latency in seconds for full resyncs',
    );
    this.#syncPartial = histogram(
      'sync_partial_proxy_rules_duration_seconds',
      'SyncProxyRules latency in seconds for partial resyncs',
    );
    this.#programming = histogram(
      'network_programming_duration_seconds',
      'In Cluster Network Programming Latency in seconds',
      PROGRAMMING_BUCKETS,
    );
    const gauge = (name: string, help: string) =>
      new Gauge({
        name: `kubeproxy_${name}`,
        help: `[ALPHA] ${help}`,
        labelNames: ['ip_family'] as const,
        registers,
      });
    this.#lastWritten = gauge(
      'sync_proxy_rules_last_timestamp_seconds',
      'The last time proxy rules were successfully synced',
    );
    this.#lastQueued = gauge(
      'sync_proxy_rules_last_queued_timestamp_seconds',
      'The last time a sync of proxy rules was queued',
    );
    const changes = (kind: 'endpoint' | 'service', word: string) => ({
      total: new Counter({
        name: `kubeproxy_sync_proxy_rules_${kind}_changes_total`,
        help: `[ALPHA] Cumulative proxy rules ${word} changes`,
        registers,
      }),
      pending: new Gauge({
        name: `kubeproxy_sync_proxy_rules_${kind}_changes_pending`,
        help: `[ALPHA] Pending proxy rules ${word} changes`,
        registers,
      }),
    });
    this.#changes = {
      EndpointSlice: changes('endpoint', 'Endpoint'),
      Service: changes('service', 'Service'),
    };
    this.#noLocal = new Gauge({
      name: 'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
      help: '[ALPHA] Number of services with a Local traffic policy and no endpoints',
      labelNames: ['ip_family', 'traffic_policy'] as const,
      registers,
    });
    const answers = (path: string) =>
      new Counter({
        name: `kubeproxy_proxy_${path}_total`,
        help: `[ALPHA] Cumulative proxy ${path} HTTP status`,
        labelNames: ['code'] as const,
        registers,
      });
    this.#answers = { healthz: answers('healthz'), livez: answers('livez') };
  }

  answered(path: 'healthz' | 'livez', status: number): void {
    this.#answers[path].inc({ code: String(status) });
  }

  delta({ upserts, removals }: Pick<Delta<DesiredService>, 'upserts' | 'removals'>): void {
    for (const id of removals) for (const ids of this.#withoutLocal.values()) ids.delete(id);
    for (const service of upserts) {
      const { internal, external } = lacksLocal(service);
      this.#mark(service, 'internal', internal);
      this.#mark(service, 'external', external);
    }
  }

  written({ arrivals, startedMs, endedMs, full, families }: Written): void {
    const seconds = (endedMs - startedMs) / 1000;
    for (const [number, ip_family] of Object.entries(FAMILIES)) {
      // One write serves both families; each that it concerned counts it, as its own proxy would.
      if (!full && !families.has(Number(number) as 4 | 6)) continue;
      this.#sync.observe({ ip_family }, seconds);
      (full ? this.#syncFull : this.#syncPartial).observe({ ip_family }, seconds);
    }
    const nowMs = Date.now();
    for (const { kind, triggerTimeMs, family } of arrivals) {
      if (kind === 'Service' || kind === 'EndpointSlice') this.#changes[kind].total.inc();
      // What happened before this start says nothing about us; upstream leaves it out too.
      if (!this.#served || triggerTimeMs === undefined || triggerTimeMs < this.#startedAt) continue;
      this.#programming.observe(
        { ip_family: FAMILIES[family ?? 4] },
        Math.max(0, nowMs - triggerTimeMs) / 1000,
      );
    }
    this.#served = true;
  }

  /** Sets what is only known at the time of a scrape. */
  refresh(progress: SyncProgress): void {
    for (const kind of ['EndpointSlice', 'Service'] as const) {
      this.#changes[kind].pending.set(progress.pending(kind));
    }
    for (const ip_family of NAMES) {
      this.#lastWritten.set({ ip_family }, wallSeconds(progress.lastWrittenMs));
      this.#lastQueued.set({ ip_family }, wallSeconds(progress.lastQueuedMs));
      for (const traffic_policy of ['internal', 'external']) {
        const ids = this.#withoutLocal.get(`${traffic_policy} ${ip_family}`);
        this.#noLocal.set({ ip_family, traffic_policy }, ids?.size ?? 0);
      }
    }
  }

  #mark({ id, family }: DesiredService, policy: string, lacks: boolean): void {
    const key = `${policy} ${FAMILIES[family]}`;
    const ids = this.#withoutLocal.get(key) ?? new Set();
    this.#withoutLocal.set(key, ids);
    if (lacks) ids.add(id);
    else ids.delete(id);
  }
}

/** 'drop' is the model's word for: there are endpoints, but none that the policy allows. */
function lacksLocal(s: DesiredService): { internal: boolean; external: boolean } {
  const isEmpty = ({ backends, whenEmpty }: DesiredService['local']) =>
    backends.length === 0 && whenEmpty === 'drop';
  const isExternal = s.frontends.some(({ type }) => type !== 'ClusterIP');
  return {
    internal: s.internalTrafficPolicy === 'Local' && isEmpty(s.internal),
    external: isExternal && s.externalTrafficPolicy === 'Local' && isEmpty(s.local),
  };
}

function wallSeconds(ms: number | undefined): number {
  return ms === undefined ? 0 : (performance.timeOrigin + ms) / 1000;
}
