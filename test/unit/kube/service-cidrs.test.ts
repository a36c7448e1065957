import { describe, expect, it } from 'vitest';
import type { SourceLog } from '../../../src/kube/source.js';
import { service, serviceCidr } from '../../support/api-server/index.js';
import { openApi, openSynced, quick } from './api-fixture.js';
import { until } from './recorder.js';

/** A log that keeps what it was told about the resource. */
function recordingLog(): { log: SourceLog; lines: string[] } {
  const lines: string[] = [];
  const info = (message: string) => {
    if (message.includes('servicecidrs')) lines.push(message);
  };
  return { log: { debug() {}, info }, lines };
}

describe('ServiceCIDRs', () => {
  it('are listed and followed', async () => {
    await using api = await openSynced({}, (server) => server.put(serviceCidr('kubernetes', '10.96.0.0/16')));
    expect(api.sink.state.get('ServiceCIDR kubernetes')).toEqual({
      name: 'kubernetes',
      cidrs: ['10.96.0.0/16'],
    });
    api.server.put(serviceCidr('more', '10.97.0.0/16', 'fd00:97::/112'));
    await until('the new one', () => api.sink.state.has('ServiceCIDR more'));
    api.server.delete('ServiceCIDR', 'kubernetes');
    await until('the deletion', () => !api.sink.state.has('ServiceCIDR kubernetes'));
    expect(api.source.stats.servicecidrs).toMatchObject({ lists: 1, watches: 1, unavailable: 0 });
  });

  it.each([
    ['a server that has none (404)', 404, 'list servicecidrs: the API server has none (404). only'],
    [
      'an agent without the right to them (403)',
      403,
      'resources: ["servicecidrs"], verbs: ["list", "watch"]',
    ],
  ])('%s: synced without, one line, no warning, asked again now and then', async (_, code, line) => {
    const { log, lines } = recordingLog();
    const timings = { ...quick, optionalRetryMs: 30 };
    await using api = await openApi({ source: { log, timings } });
    api.server.put(service('web'));
    api.server.answerWith('servicecidrs', code);
    api.source.start(api.sink);
    await until('synced', () => api.sink.syncs === 1);
    await until('asked again', () => api.source.stats.servicecidrs.unavailable >= 3);
    expect(api.sink.lines).toEqual(['+Service default/web']);
    expect(api.sink.warnings).toEqual([]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(line);
    api.server.put(serviceCidr('kubernetes', '10.96.0.0/16'));
    api.server.answerWith('servicecidrs', 0);
    await until('the range', () => api.sink.state.has('ServiceCIDR kubernetes'));
    expect(api.sink.syncs).toBe(1);
    expect(lines).toEqual([lines[0], 'list servicecidrs: available now']);
  });

  it('stay known when the right to watch them is missing', async () => {
    const { log, lines } = recordingLog();
    await using api = await openApi({ source: { log } });
    api.server.put(serviceCidr('kubernetes', '10.96.0.0/16'));
    api.server.forbid('watch', 'servicecidrs');
    api.source.start(api.sink);
    await until('synced', () => api.sink.syncs === 1);
    await until('refused', () => api.source.stats.servicecidrs.unavailable === 1);
    expect(api.sink.state.has('ServiceCIDR kubernetes')).toBe(true);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^watch servicecidrs: .*\(403\)/);
  });

  it('any other failure holds back the start, as for every resource', async () => {
    await using api = await openApi();
    api.server.answerWith('servicecidrs', 500);
    api.source.start(api.sink);
    await until('three attempts', () => api.source.stats.servicecidrs.errors >= 3);
    expect(api.sink.syncs).toBe(0);
    api.server.answerWith('servicecidrs', 0);
    await until('synced', () => api.sink.syncs === 1);
  });
});
