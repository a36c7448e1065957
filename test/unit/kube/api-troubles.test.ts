import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { describe, expect, it } from 'vitest';
import { ApiSource } from '../../../src/kube/api-source.js';
import { makeCertificate, service } from '../../support/api-server/index.js';
import { openApi, openSynced, quick } from './api-fixture.js';
import { Recorder, until } from './recorder.js';

describe('an API server that cannot be reached', () => {
  it('is told once, tried again more and more seldom, and found when it comes back', async () => {
    await using api = await openApi({
      source: { timings: { ...quick, backoff: { baseMs: 10, capMs: 100 } } },
    });
    await api.server.refuse();
    api.source.start(api.sink);
    const { services } = api.source.stats;
    await until('the cap', () => services.errors >= 6);
    const before = services.errors;
    await sleep(400);
    // 10, 20, 40, 80, 100, 100, ... ms, each by half less at most: no hot loop.
    expect(services.errors - before).toBeLessThanOrEqual(9);
    expect(api.sink.warnings).toHaveLength(1);
    expect(api.sink.warnings[0]?.object).toBe(`API server ${api.server.url}`);
    expect(api.sink.warnings[0]?.message).toMatch(
      /^connect to API server http:.*: connect ECONNREFUSED .* \(ECONNREFUSED\)\. Check that the API server runs .*; retrying$/,
    );
    await api.server.listen();
    await until('synced', () => api.sink.syncs === 1);
    expect(api.sink.warnings).toHaveLength(1);
  });

  it('is told again after a recovery, within limits', async () => {
    await using api = await openSynced({ source: { warnings: { minimumMs: 0 } } });
    for (const outage of [1, 2]) {
      await api.server.refuse();
      await until('the warning', () => api.sink.warnings.length === outage);
      await api.server.listen();
      await until('four watches', () => api.server.openWatches === 4);
    }
    expect(api.source.stats.services.lists).toBe(1);
  });

  it('by name is reported with the name', async () => {
    await using api = await openApi({ kubeconfig: { server: 'http://no-such-host.invalid:6443' } });
    api.source.start(api.sink);
    await until('the warning', () => api.sink.warnings.length > 0);
    expect(api.sink.warnings[0]?.message).toMatch(/no-such-host\.invalid.*\((ENOTFOUND|EAI_AGAIN)\)/);
  });

  it('that accepts and says nothing is given up', async () => {
    await using api = await openApi({ source: { timings: { ...quick, listIdleMs: 50 } } });
    api.server.pause();
    api.source.start(api.sink);
    await until('the warning', () => api.sink.warnings.length > 0);
    expect(api.sink.warnings[0]?.message).toMatch(
      /^list \w+: nothing received for 50 ms \(ETIMEDOUT\)\. Retrying$/,
    );
    api.server.resume();
    await until('synced', () => api.sink.syncs === 1);
  });

  it('waits as long as the server asks for', async () => {
    await using api = await openApi({
      source: { timings: { ...quick, backoff: { baseMs: 10, capMs: 400 } } },
    });
    api.server.failNext(3, 429, { message: 'slow down', headers: { 'Retry-After': '1' } });
    const startedMs = performance.now();
    api.source.start(api.sink);
    await until('synced', () => api.sink.syncs === 1);
    expect(performance.now() - startedMs).toBeGreaterThan(750);
    expect(api.sink.warnings[0]?.message).toContain('slow down (429)');
  });

  it('does not make a hot loop when every watch ends at once', async () => {
    await using api = await openSynced({
      source: { timings: { ...quick, stableMs: 1000, backoff: { baseMs: 20, capMs: 100 } } },
    });
    const timer = setInterval(() => api.server.endWatches(), 2);
    const { services } = api.source.stats;
    await until('the cap', () => services.watches >= 5);
    const before = services.watches;
    await sleep(400);
    clearInterval(timer);
    expect(services.watches - before).toBeLessThanOrEqual(9);
    expect(api.source.stats.services.lists).toBe(1);
  });
});

describe('an API server that refuses', () => {
  it('an unknown token: 401', async () => {
    await using api = await openApi({ server: { token: 'right' }, kubeconfig: { token: 'wrong' } });
    api.source.start(api.sink);
    await until('three refusals', () => Object.values(api.source.stats).every((s) => s.errors > 0));
    expect(api.sink.warnings).toHaveLength(1);
    expect(api.sink.warnings[0]?.message).toMatch(
      /^authenticate to API server .*: Unauthorized \(401\)\. Renew the token or client certificate/,
    );
  });

  it('not a right token with white space around it', async () => {
    await using api = await openSynced({ server: { token: 'right' }, kubeconfig: { token: 'right\n' } });
    expect(api.sink.warnings).toEqual([]);
  });

  it.each(['list', 'watch'] as const)('to %s: names verb, resource and the RBAC rule', async (verb) => {
    await using api = await openApi();
    api.server.forbid(verb, 'endpointslices');
    api.source.start(api.sink);
    await until('two refusals', () => api.source.stats.endpointslices.errors >= 2);
    expect(api.sink.warnings).toHaveLength(1);
    expect(api.sink.warnings[0]?.message).toBe(
      `${verb} endpointslices in all namespaces: endpointslices is forbidden: User "test" cannot ${verb} resource ` +
        '"endpointslices" (403). Give the agent\'s user a ClusterRole with the rule {apiGroups: ["discovery.k8s.io"], ' +
        'resources: ["endpointslices"], verbs: ["list", "watch"]}; retrying',
    );
    api.server.allow(verb, 'endpointslices');
    await until('synced', () => api.sink.syncs === 1 && api.server.openWatches === 4);
    // A watch that was refused goes on from where the list ended.
    expect(api.source.stats.endpointslices.lists).toBe(1);
  });

  it('a resource it does not have: 404', async () => {
    await using api = await openApi();
    api.server.failNext(1, 404, { message: 'the server could not find the requested resource' });
    api.source.start(api.sink);
    await until('the warning', () => api.sink.warnings.length > 0);
    expect(api.sink.warnings[0]?.message).toMatch(
      /\(404\)\. Check the server address in the kubeconfig; discovery/,
    );
  });

  it('with an inner error during a watch', async () => {
    await using api = await openSynced();
    api.server.failNext(4, 500, { message: 'etcd has no leader' });
    await api.server.dropConnections();
    await until('the warnings', () => api.sink.warnings.length === 4);
    expect(api.sink.warnings.map((w) => w.message).sort()[3]).toBe(
      "watch services: etcd has no leader (500). Look at the API server's log; retrying",
    );
    await until('four watches', () => api.server.openWatches === 4);
    expect(api.source.stats.services.lists).toBe(1);
  });
});

describe('TLS', () => {
  it('works with the authority of the kubeconfig', async () => {
    await using api = await openSynced({ server: { tls: true, token: 't' } }, (server) =>
      server.put(service('web')),
    );
    expect(api.server.url).toMatch(/^https:/);
    await api.server.dropConnections();
    api.server.put(service('new'));
    await until('the change', () => api.sink.state.has('Service default/new'));
    expect(api.sink.warnings).toEqual([]);
  });

  it.each([
    [
      'another authority',
      { tls: true },
      { caPem: makeCertificate(['127.0.0.1']).certPem },
      /\((DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE|ERR_SSL\w*|CERT_\w+)\)/,
    ],
    ['an expired certificate', { tls: { expired: true } }, {}, /\(CERT_HAS_EXPIRED\)/],
  ])('%s is one clear warning', async (_what, server, kubeconfig, code) => {
    await using api = await openApi({ server, kubeconfig });
    api.source.start(api.sink);
    await until('three failures', () => Object.values(api.source.stats).every((s) => s.errors > 0));
    expect(api.sink.warnings).toHaveLength(1);
    expect(api.sink.warnings[0]?.message).toMatch(/^verify API server https:/);
    expect(api.sink.warnings[0]?.message).toMatch(code);
    expect(api.sink.warnings[0]?.message).toContain('certificate-authority-data of the kubeconfig');
  });

  it('spoken to a server without TLS is a warning too', async () => {
    await using api = await openApi();
    const kubeConfig = new KubeConfig();
    kubeConfig.loadFromClusterAndUser(
      { name: 'c', server: api.server.url.replace('http:', 'https:'), skipTLSVerify: false },
      { name: 'u' },
    );
    const sink = new Recorder();
    const source = new ApiSource({ kubeConfig, timings: quick });
    source.start(sink);
    await until('the warning', () => sink.warnings.length > 0);
    await source.stop();
    expect(sink.warnings[0]?.message).toMatch(
      /^verify API server https:.*\((EPROTO|ERR_SSL_\w+)\)\. The server does not speak TLS on this port/,
    );
  });
});

describe('a server that is none', () => {
  async function against(body: string, contentType = 'application/json'): Promise<Recorder> {
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': contentType });
      response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const kubeConfig = new KubeConfig();
    kubeConfig.loadFromClusterAndUser(
      {
        name: 'c',
        server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        skipTLSVerify: false,
      },
      { name: 'u' },
    );
    const sink = new Recorder();
    const source = new ApiSource({ kubeConfig, timings: quick });
    source.start(sink);
    await until('warnings', () => sink.warnings.length === 4);
    await source.stop();
    server.close();
    expect(sink.syncs).toBe(0);
    return sink;
  }

  it('and answers with a web page', async () => {
    const sink = await against('<html>Welcome</html>', 'text/html');
    expect(sink.warnings[0]?.message).toMatch(
      /the answer to \/.* is no JSON: "<html>.*\(EPROTO\)\. Retrying$/,
    );
  });

  it.each(['null', '{}', '[]', '{"items":{}}'])('and answers with %s', async (body) => {
    const sink = await against(body);
    expect(sink.warnings[0]?.message).toMatch(
      /the answer to a list is no Kubernetes list \(EPROTO\)\. Retrying$/,
    );
  });
});
