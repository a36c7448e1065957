import { describe, expect, it } from 'vitest';
import {
  goTime,
  healthCheckAnswer,
  healthzAnswer,
  healthzResponder,
} from '../../../../src/agent/health/answers.js';
import type { HealthState } from '../../../../src/agent/health/proxy-health.js';

const state = (change: Partial<HealthState> = {}): HealthState => ({
  healthy: true,
  nodeEligible: true,
  lastUpdatedMs: 5000,
  currentMs: 9500.125,
  ...change,
});

describe('SEMANTICS 8: /healthz and /livez as kube-proxy writes them', () => {
  it('is the recorded body of a running kube-proxy, byte by byte', () => {
    const now = state({ currentMs: 77_076.830985 });
    const time = goTime(now.currentMs);
    expect(healthzAnswer('healthz', now)).toEqual({
      status: 200,
      headers: { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff' },
      body: `{"lastUpdated": "${time}","currentTime": "${time}", "nodeEligible": true}`,
    });
    expect(healthzAnswer('livez', now).body).toBe(`{"lastUpdated": "${time}","currentTime": "${time}"}`);
  });

  it.each<[string, Partial<HealthState>, number, number]>([
    ['healthy', {}, 200, 200],
    ['a change waits for too long', { healthy: false }, 503, 503],
    ['the node goes', { nodeEligible: false }, 503, 200],
    ['both', { healthy: false, nodeEligible: false }, 503, 503],
  ])('%s', (_, change, healthz, livez) => {
    expect(healthzAnswer('healthz', state(change)).status).toBe(healthz);
    expect(healthzAnswer('livez', state(change)).status).toBe(livez);
  });

  it('lastUpdated is the current time on 200, and the last write on 503', () => {
    const fields = (body: string) => JSON.parse(body) as { lastUpdated: string; currentTime: string };
    const good = fields(healthzAnswer('livez', state({ nodeEligible: false })).body);
    expect(good.lastUpdated).toBe(good.currentTime);
    const bad = fields(healthzAnswer('healthz', state({ nodeEligible: false })).body);
    expect(bad.lastUpdated).toMatch(/m=\+5\.000000000$/);
    expect(bad.currentTime).toMatch(/m=\+9\.500125000$/);
  });

  it('answers nothing else, and counts what it answered', async () => {
    const counted: string[] = [];
    const respond = healthzResponder(
      () => state({ nodeEligible: false }),
      (path, code) => counted.push(`${path} ${code}`),
    );
    const ask = async (path: string) => (await respond(path, undefined as never)).status;
    expect([await ask('/healthz'), await ask('/livez'), await ask('/'), await ask('/healthz/')]).toEqual([
      503, 200, 404, 404,
    ]);
    expect(counted).toEqual(['healthz 503', 'livez 200']);
  });
});

describe('SEMANTICS 8: healthCheckNodePort', () => {
  it('is the recorded answer of a running kube-proxy, byte by byte', () => {
    const check = {
      namespace: 'default',
      name: 'b-etp2',
      port: 1,
      localEndpoints: 2,
      localEndpointsByFamily: {},
    };
    const answer = healthCheckAnswer(check, true);
    expect(answer.status).toBe(200);
    expect(Object.entries(answer.headers)).toEqual([
      ['Content-Type', 'application/json'],
      ['X-Content-Type-Options', 'nosniff'],
      ['X-Load-Balancing-Endpoint-Weight', '2'],
    ]);
    expect(answer.body).toBe(
      '{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "b-etp2"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
    );
    expect(answer.body).toHaveLength(117);
  });

  it.each<[number, boolean, number]>([
    [0, true, 503],
    [1, true, 200],
    [2, false, 503],
    [0, false, 503],
  ])('%d local endpoints, proxy healthy %s: %d', (localEndpoints, healthy, status) => {
    const check = { namespace: 'a', name: 'b', port: 1, localEndpoints, localEndpointsByFamily: {} };
    const answer = healthCheckAnswer(check, healthy);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ localEndpoints, serviceProxyHealthy: healthy });
  });
});

describe('goTime', () => {
  it.each<[number, number, string]>([
    [Date.UTC(2026, 10, 21, 1, 8, 29), 0, '2026-11-21 01:08:29 +0000 UTC m=+0.000000000'],
    [Date.UTC(2026, 10, 21, 1, 8, 29), 450.5, '2026-11-21 01:08:29.4505 +0000 UTC m=+0.450500000'],
    [Date.UTC(2026, 0, 1), 77_076.83, '2026-01-01 00:01:17.07683 +0000 UTC m=+77.076830000'],
  ])('%d + %d ms', (origin, ms, text) => expect(goTime(ms, origin)).toBe(text));
});
