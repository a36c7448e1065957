import { collectDefaultMetrics, Registry } from 'prom-client';
import type { RequestSample } from '../../kube/api-client.js';
import type { DesiredService } from '../../model/desired.js';
import type { AgentObserver, AgentStatus } from '../agent.js';
import type { Delta, Written } from '../delta.js';
import { KubeProxyMetrics, type SyncProgress } from './kube-proxy-metrics.js';
import { RestClientMetrics } from './rest-client-metrics.js';
import { type DatapathStats, ShuntMetrics } from './shunt-metrics.js';

/** Where a scrape finds what is not counted here. */
export interface MetricsSources {
  status(): AgentStatus;
  readonly progress: SyncProgress;
  readonly takenNodePorts: number;
  readonly healthCheckStats: { servers: number; listening: number; failures: number };
}

/** All metrics of one agent, in a registry of their own. */
export class AgentMetrics implements AgentObserver {
  readonly registry = new Registry();
  readonly #kubeProxy: KubeProxyMetrics;
  readonly #shunt: ShuntMetrics;
  readonly #restClient: RestClientMetrics;

  /** @param o.servicesMax service ports with series of their own. */
  constructor(o: { version: string; servicesMax: number }) {
    this.#kubeProxy = new KubeProxyMetrics(this.registry);
    this.#shunt = new ShuntMetrics(this.registry, o);
    this.#restClient = new RestClientMetrics(this.registry);
    // process_* as every client library has them, and nodejs_* of this run time.
    collectDefaultMetrics({ register: this.registry });
  }

  delta(delta: Delta<DesiredService>): void {
    this.#kubeProxy.delta(delta);
  }

  /** What the kernel lacks. */
  missing(features: readonly string[]): void {
    this.#shunt.missing(features);
  }

  written(written: Written): void {
    this.#kubeProxy.written(written);
    this.#shunt.written(written);
  }

  answered(path: 'healthz' | 'livez', status: number): void {
    this.#kubeProxy.answered(path, status);
  }

  requested(sample: RequestSample): void {
    this.#restClient.observe(sample);
  }

  /** The exposition text. */
  scrape(agent: MetricsSources, datapath: DatapathStats): Promise<string> {
    this.#kubeProxy.refresh(agent.progress);
    this.#shunt.refresh({
      status: agent.status(),
      healthChecks: agent.healthCheckStats,
      takenNodePorts: agent.takenNodePorts,
      datapath,
    });
    return this.registry.metrics();
  }
}
