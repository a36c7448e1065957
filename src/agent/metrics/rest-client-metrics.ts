import { Counter, Histogram, type Registry } from 'prom-client';
import type { RequestSample } from '../../kube/api-client.js';

const BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

/** client-go's metrics, which the alerts of every Kubernetes component are written for. */
export class RestClientMetrics {
  readonly #requests: Counter<'code' | 'host' | 'method'>;
  readonly #duration: Histogram<'host' | 'verb'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'rest_client_requests_total',
      help: '[ALPHA] Number of HTTP requests, partitioned by status code, method, and host.',
      labelNames: ['code', 'host', 'method'] as const,
      registers,
    });
    this.#duration = new Histogram({
      name: 'rest_client_request_duration_seconds',
      help: '[ALPHA] Request latency in seconds. Broken down by verb, and host.',
      labelNames: ['host', 'verb'] as const,
      buckets: BUCKETS,
      registers,
    });
  }

  observe({ method, status, host, seconds }: RequestSample): void {
    // client-go's word for no answer.
    this.#requests.inc({ code: status === undefined ? '<error>' : String(status), host, method });
    this.#duration.observe({ host, verb: method }, seconds);
  }
}
