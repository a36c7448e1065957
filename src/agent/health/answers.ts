import type { HealthCheck } from '../../model/desired.js';
import { type Answer, NOT_FOUND, type Respond } from './listener.js';
import type { HealthState } from './proxy-health.js';

const JSON_HEADERS = { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff' };

/** Codes that were answered, for the metrics. */
export type CountAnswer = (path: 'healthz' | 'livez', status: number) => void;

/** `/healthz` and `/livez`; every other path is 404. */
export function healthzResponder(state: () => HealthState, count: CountAnswer = () => {}): Respond {
  return (path) => {
    if (path !== '/healthz' && path !== '/livez') return NOT_FOUND;
    const name = path === '/healthz' ? 'healthz' : 'livez';
    const answer = healthzAnswer(name, state());
    count(name, answer.status);
    return answer;
  };
}

/** The text is kube-proxy's to the byte, uneven spaces included: somebody's grep reads it. */
export function healthzAnswer(path: 'healthz' | 'livez', state: HealthState): Answer {
  const asksNode = path === 'healthz';
  const ok = state.healthy && (!asksNode || state.nodeEligible);
  const lastUpdated = goTime(ok ? state.currentMs : state.lastUpdatedMs);
  const node = asksNode ? `, "nodeEligible": ${state.nodeEligible}` : '';
  return {
    status: ok ? 200 : 503,
    headers: JSON_HEADERS,
    body: `{"lastUpdated": "${lastUpdated}","currentTime": "${goTime(state.currentMs)}"${node}}`,
  };
}

/** What a `healthCheckNodePort` answers, whatever the path. */
export function healthCheckAnswer(check: HealthCheck, proxyHealthy: boolean): Answer {
  const { namespace, name, localEndpoints } = check;
  const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy: proxyHealthy };
  return {
    status: localEndpoints > 0 && proxyHealthy ? 200 : 503,
    headers: { ...JSON_HEADERS, 'X-Load-Balancing-Endpoint-Weight': String(localEndpoints) },
    body: JSON.stringify(body, null, '\t'),
  };
}

/**
 * A point in time as Go prints one that carries a monotonic reading: a fraction without trailing zeros, and
 * seconds since the process began. @param ms of performance.now().
 */
export function goTime(ms: number, originMs: number = performance.timeOrigin): string {
  // Microseconds since 1970 are exact in a double; nanoseconds are not.
  const us = Math.round((originMs + ms) * 1000);
  const seconds = Math.floor(us / 1_000_000);
  const digits = String(us - seconds * 1_000_000)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const date = new Date(seconds * 1000).toISOString();
  const wall = `${date.slice(0, 10)} ${date.slice(11, 19)}${digits === '' ? '' : `.${digits}`}`;
  return `${wall} +0000 UTC m=+${(ms / 1000).toFixed(9)}`;
}
