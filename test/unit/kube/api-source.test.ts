import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { node, service, slice } from '../../support/api-server/index.js';
import { openApi, openSynced, quick } from './api-fixture.js';
import { until } from './recorder.js';

describe('list and watch', () => {
  it('delivers everything there is, then says synced once', async () => {
    await using api = await openSynced({}, (server) =>
      server.put(service('web'), slice('web-1', 'web', ['10.244.1.2']), node('node1')),
    );
    expect(api.sink.lines).toEqual(['+EndpointSlice default/web-1', '+Node node1', '+Service default/web']);
    expect(api.sink.syncs).toBe(1);
  });

  it('is synced on an empty cluster too', async () => {
    await using api = await openSynced();
    expect(api.sink.log).toEqual([]);
    expect(api.sink.syncs).toBe(1);
  });

  it('does not say synced before the slowest list is there', async () => {
    await using api = await openApi();
    api.server.forbid('list', 'nodes');
    api.source.start(api.sink);
    await until('the other lists', () => api.server.openWatches === 3);
    await sleep(50);
    expect(api.sink.syncs).toBe(0);
    api.server.allow('list', 'nodes');
    await until('synced', () => api.sink.syncs === 1);
  });

  it('follows additions, changes and deletions without listing again', async () => {
    await using api = await openSynced();
    api.server.put(service('web'));
    api.server.put(service('web', { ports: [{ port: 81 }] }));
    api.server.delete('Service', 'web');
    await until('three changes', () => api.sink.log.length === 3);
    expect(api.sink.log.map((change) => change.object === undefined)).toEqual([false, false, true]);
    expect(api.source.stats.services).toMatchObject({
      lists: 1,
      watches: 1,
      events: 3,
      relists: 0,
      objects: 0,
    });
  });

  it('reads long lists page by page', async () => {
    const many = Array.from({ length: 1203 }, (_, i) => service(`s${i}`));
    await using api = await openSynced({}, (server) => server.put(...many));
    expect(api.sink.state.size).toBe(1203);
    expect(api.source.stats.services).toMatchObject({ lists: 1, pages: 3 });
    const limits = api.server.requests.filter((r) => r.path.endsWith('services') && !r.watch);
    expect(limits.map((r) => r.query.get('limit'))).toEqual(['500', '500', '500']);
  });

  it('lists in one piece when the snapshot expires between two pages', async () => {
    await using api = await openApi({ server: { latencyMs: 40 } });
    api.server.put(...Array.from({ length: 700 }, (_, i) => service(`s${i}`)));
    api.source.start(api.sink);
    await until('the first page', () =>
      api.server.requests.some((r) => r.path.endsWith('services') && r.status === 200),
    );
    api.server.put(service('late'));
    api.server.compact();
    await until('synced', () => api.sink.syncs === 1);
    expect(api.sink.state.size).toBe(701);
    expect(api.sink.warnings).toEqual([]);
    expect(api.source.stats.services.pages).toBe(3);
  });

  it('leaves out headless slices by label selector, and follows the label', async () => {
    const headless = { labels: { 'kubernetes.io/service-name': 'db', 'service.kubernetes.io/headless': '' } };
    await using api = await openSynced({}, (server) =>
      server.put(slice('db-1', 'db', ['10.244.1.9'], headless), slice('web-1', 'web', ['10.244.1.2'])),
    );
    expect(api.sink.lines).toEqual(['+EndpointSlice default/web-1']);
    api.server.put(slice('web-1', 'web', ['10.244.1.2'], headless));
    await until('the slice is gone', () => api.sink.state.size === 0);
    const requests = api.server.requests.filter((r) => r.path.endsWith('endpointslices'));
    expect(requests.every((r) => r.query.get('labelSelector') === '!service.kubernetes.io/headless')).toBe(
      true,
    );
  });

  it('delivers nothing after stop', async () => {
    await using api = await openSynced();
    await api.source.stop();
    api.server.put(service('web'));
    await sleep(30);
    expect(api.sink.log).toEqual([]);
    expect(api.server.openWatches).toBe(0);
  });

  it('decodes text that is cut inside a character, one byte at a time', async () => {
    await using api = await openSynced({ server: { chunkBytes: 1 } });
    api.server.put(service('web', {}, { annotations: { 'shunt.dev/note': 'größer 日本 🚦' } }));
    await until('the Service', () => api.sink.log.length === 1);
    expect(api.sink.log[0]?.object).toMatchObject({ annotations: { 'shunt.dev/note': 'größer 日本 🚦' } });
  });
});

describe('what does not matter is not delivered', () => {
  it('a node heartbeat', async () => {
    await using api = await openSynced({}, (server) => server.put(node('node1', { zone: 'a' })));
    api.sink.clear();
    for (let i = 0; i < 5; i++) {
      const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: `2026-01-01T00:00:0${i}Z` }];
      api.server.put(
        node(
          'node1',
          { zone: 'a' },
          { status: { conditions, addresses: [{ type: 'InternalIP', address: '172.30.0.11' }] } },
        ),
      );
    }
    api.server.put(node('node1', { zone: 'b' }));
    await until('the label', () => api.sink.log.length > 0);
    expect(api.sink.log).toHaveLength(1);
    expect(api.source.stats.nodes).toMatchObject({ events: 6, changes: 2 });
  });

  it('a slice of which only the trigger time changed', async () => {
    await using api = await openSynced({}, (server) => server.put(slice('web-1', 'web', ['10.244.1.2'])));
    api.sink.clear();
    const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-01T00:00:00Z' };
    const labels = { 'kubernetes.io/service-name': 'web' };
    api.server.put(slice('web-1', 'web', ['10.244.1.2'], { labels, annotations }));
    api.server.put(slice('web-1', 'web', ['10.244.1.3'], { labels, annotations }));
    await until('the address', () => api.sink.log.length > 0);
    expect(api.sink.log).toHaveLength(1);
    expect(api.sink.log[0]?.object).toMatchObject({
      lastChangeTriggerTimeMs: Date.parse('2026-01-01T00:00:00Z'),
    });
  });
});

describe('a lost connection', () => {
  it('goes on from the last version without a list, and misses nothing', async () => {
    await using api = await openSynced({}, (server) => server.put(service('web')));
    await api.server.dropConnections();
    api.server.put(service('new'));
    api.server.delete('Service', 'web');
    await until('both changes', () => api.sink.log.length === 3);
    // The server has a watch open before the source knows it.
    await until('four resumed watches', () => Object.values(api.source.stats).every((s) => s.reconnects > 0));
    for (const stats of Object.values(api.source.stats)) {
      expect(stats).toMatchObject({ lists: 1, relists: 0, reconnects: 1, dropped: 1 });
    }
    expect(api.sink.warnings).toEqual([]);
  });

  it('in the middle of a line loses that line only', async () => {
    await using api = await openSynced({}, (server) => server.put(service('web')));
    await api.server.dropConnections({ partialLine: true });
    api.server.put(service('new'));
    await until('the change', () => api.sink.state.has('Service default/new'));
    expect(api.sink.lines).toEqual(['+Service default/new', '+Service default/web']);
    expect(api.source.stats.services).toMatchObject({ lists: 1, reconnects: 1 });
    expect(api.sink.warnings).toEqual([]);
  });

  it('resumes from a bookmark that is newer than the last event', async () => {
    await using api = await openSynced({}, (server) => server.put(service('web')));
    api.server.store.advance(500);
    api.server.bookmark();
    await until('the bookmarks', () => Object.values(api.source.stats).every((s) => s.bookmarks === 1));
    // All history before the bookmark is gone; only a watch from the bookmark itself can go on.
    api.server.compact();
    await api.server.dropConnections();
    api.server.put(service('new'));
    await until('the change', () => api.sink.state.has('Service default/new'));
    expect(api.source.stats.services).toMatchObject({ lists: 1, relists: 0, gone: 0, reconnects: 1 });
  });

  it('asks for bookmarks and for an end of the watch', async () => {
    await using api = await openSynced();
    const watches = api.server.requests.filter((request) => request.watch);
    for (const { query } of watches) {
      expect(query.get('allowWatchBookmarks')).toBe('true');
      expect(Number(query.get('timeoutSeconds'))).toBeGreaterThanOrEqual(300);
      expect(Number(query.get('timeoutSeconds'))).toBeLessThanOrEqual(600);
    }
  });

  it('is noticed when it only falls silent', async () => {
    await using api = await openSynced({ source: { timings: { ...quick, idleMs: 150 } } });
    api.server.pause();
    api.server.put(service('web'));
    await sleep(250);
    api.server.resume();
    await until('the change', () => api.sink.state.has('Service default/web'));
    expect(api.source.stats.services.silent).toBeGreaterThan(0);
    expect(api.source.stats.services).toMatchObject({ lists: 1, relists: 0 });
  });

  it('ended by the server in good order is taken up again at once', async () => {
    await using api = await openSynced({ source: { timings: { ...quick, stableMs: 0 } } });
    api.server.endWatches();
    await until('new watches', () => api.source.stats.services.reconnects === 1);
    expect(api.source.stats.services).toMatchObject({ lists: 1, errors: 0, dropped: 0 });
  });
});

describe('410 Gone', () => {
  it('as an event leads to a new list that yields differences, deletions included', async () => {
    await using api = await openSynced({}, (server) => server.put(service('old'), service('kept')));
    api.sink.clear();
    await api.server.refuse();
    api.server.delete('Service', 'old');
    api.server.put(service('new'));
    api.server.compact();
    await api.server.listen();
    await until('the new list', () => api.source.stats.services.relists === 1);
    expect(api.sink.lines).toEqual(['+Service default/new', '-Service default/old']);
    expect(api.source.stats.services).toMatchObject({ gone: 1, lists: 2 });
  });

  it('in a running watch counts what came before it', async () => {
    await using api = await openSynced();
    api.server.put(service('web'));
    api.server.compact({ expireWatches: true });
    await until('the new list', () => api.source.stats.services.relists === 1);
    expect(api.sink.lines).toEqual(['+Service default/web']);
    expect(api.sink.warnings).toEqual([]);
  });

  it('as an HTTP status is the same', async () => {
    await using api = await openSynced();
    api.server.failNext(4, 410, { reason: 'Expired' });
    await api.server.dropConnections();
    await until('new lists', () => Object.values(api.source.stats).every((s) => s.relists === 1));
    expect(api.sink.warnings).toEqual([]);
  });

  it('for a version from before a restored backup is the same', async () => {
    await using api = await openSynced();
    api.server.failNext(4, 504, { message: 'Timeout: Too large resource version: 9, current: 5' });
    await api.server.dropConnections();
    await until('new lists', () => Object.values(api.source.stats).every((s) => s.relists === 1));
  });
});

describe('a bad object', () => {
  it('is reported by name and field, and its last good version stays', async () => {
    await using api = await openSynced({}, (server) => server.put(service('web')));
    api.server.put(service('web', { ports: [{ port: 80, protocol: 'QUIC' }] }), service('other'));
    await until('the next object', () => api.sink.state.has('Service default/other'));
    expect(api.sink.state.get('Service default/web')).toMatchObject({
      ports: [{ port: 80, protocol: 'TCP' }],
    });
    expect(api.sink.warnings).toEqual([
      {
        object: 'Service default/web',
        field: 'spec.ports[0].protocol',
        message: 'is "QUIC"; use one of TCP, UDP, SCTP',
      },
    ]);
    expect(api.source.stats.services.invalid).toBe(1);
  });

  it('keeps its last good version through a new list as well', async () => {
    await using api = await openSynced({}, (server) => server.put(service('web')));
    api.server.put(service('web', { type: 'Magic' }));
    api.server.compact({ expireWatches: true });
    await until('the new list', () => api.source.stats.services.relists === 1);
    expect(api.sink.state.has('Service default/web')).toBe(true);
    expect(api.sink.warnings).toHaveLength(1);
  });

  it('can still be deleted', async () => {
    await using api = await openSynced({}, (server) => server.put(service('web')));
    api.server.put(service('web', { type: 'Magic' }));
    api.server.delete('Service', 'web');
    await until('deletion', () => api.sink.state.size === 0);
  });
});
