import type { HealthCheck, HealthCheckDelta } from '../../model/desired.js';
import type { WarningLog } from '../log.js';
import { healthCheckAnswer } from './answers.js';
import { Listener } from './listener.js';
import type { Place } from './places.js';

export interface HealthChecksOptions {
  /** Whether this proxy as a whole can be trusted; asked at every request. */
  isHealthy: () => boolean;
  warnings: Pick<WarningLog, 'warn'>;
  retryMs?: { first: number; most: number };
}

interface Served {
  check: HealthCheck;
  /** By host. */
  listeners: Map<string, Listener>;
}

/** The HTTP servers of all `healthCheckNodePort`s: one per Service and place. */
export class HealthChecks {
  readonly #o: HealthChecksOptions;
  readonly #served = new Map<string, Served>();
  #places: readonly Place[] = [];
  #failures = 0;

  constructor(options: HealthChecksOptions) {
    this.#o = options;
  }

  /** Servers wanted, those that may listen, and failures to listen so far. */
  get stats(): { servers: number; listening: number; failures: number } {
    const all = [...this.#served.values()].flatMap(({ listeners }) => [...listeners.values()]);
    const listening = all.filter((listener) => listener.listening).length;
    return { servers: all.length, listening, failures: this.#failures };
  }

  update({ upserts, removals }: HealthCheckDelta): void {
    for (const key of removals) this.#remove(key);
    // Ports are given back first: two Services may swap theirs.
    const moved = upserts.filter((check) => this.#served.get(keyOf(check))?.check.port !== check.port);
    for (const check of moved) this.#remove(keyOf(check));
    for (const check of upserts) {
      const served = this.#served.get(keyOf(check));
      if (served) served.check = check;
      else this.#served.set(keyOf(check), { check, listeners: new Map() });
    }
    for (const check of moved) this.#settle(this.#served.get(keyOf(check)) as Served);
  }

  setPlaces(places: readonly Place[]): void {
    if (String(places.map(({ host }) => host)) === String(this.#places.map(({ host }) => host))) return;
    this.#places = places;
    for (const served of this.#served.values()) this.#settle(served);
  }

  close(): void {
    for (const key of [...this.#served.keys()]) this.#remove(key);
  }

  #remove(key: string): void {
    const served = this.#served.get(key);
    for (const listener of served?.listeners.values() ?? []) listener.close();
    this.#served.delete(key);
  }

  #settle(served: Served): void {
    const wanted = new Set(this.#places.map(({ host }) => host));
    for (const [host, listener] of served.listeners) {
      if (wanted.has(host)) continue;
      listener.close();
      served.listeners.delete(host);
    }
    for (const { host, ipv6Only } of this.#places) {
      if (served.listeners.has(host)) continue;
      const { retryMs, isHealthy } = this.#o;
      const listener = new Listener({
        host,
        port: served.check.port,
        ipv6Only,
        respond: () => healthCheckAnswer(served.check, isHealthy()),
        onFailure: (error) => this.#failed(served.check, host, error),
        ...(retryMs && { retryMs }),
      });
      served.listeners.set(host, listener);
      void listener.start();
    }
  }

  #failed(check: HealthCheck, host: string, error: NodeJS.ErrnoException): void {
    const code = error.code ?? 'EIO';
    // A node without IPv6 has nobody to answer there.
    if (host === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) return;
    this.#failures++;
    const place = host.includes(':') ? `[${host}]:${check.port}` : `${host}:${check.port}`;
    this.#o.warnings.warn(
      { object: `Service ${keyOf(check)}`, field: 'spec.healthCheckNodePort' },
      `listen on ${place}: ${CAUSES[code] ?? error.message} (${code}). load balancers take this node for one without endpoints of the Service; ${NEXT[code] ?? 'trying again'}`,
    );
  }
}

const CAUSES: Record<string, string> = {
  EADDRINUSE: 'another socket has the port',
  EADDRNOTAVAIL: 'the node does not have the address',
  EACCES: 'not permitted',
};

const NEXT: Record<string, string> = {
  EADDRINUSE: "find it with 'ss -ltnp' and end it, or change the port; trying again",
};

function keyOf({ namespace, name }: HealthCheck): string {
  return `${namespace}/${name}`;
}
