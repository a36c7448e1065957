import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBindAddress } from '../../../../src/agent/health/bind-address.js';
import { HealthChecks } from '../../../../src/agent/health/health-checks.js';
import { Listener } from '../../../../src/agent/health/listener.js';
import { healthCheckPlaces } from '../../../../src/agent/health/places.js';
import type { HealthCheck } from '../../../../src/model/desired.js';

const LOOPBACK = [{ host: '127.0.0.1', ipv6Only: false }];

const check = (port: number, localEndpoints: number, name = 'web'): HealthCheck => ({
  namespace: 'default',
  name,
  port,
  localEndpoints,
  localEndpointsByFamily: { 4: localEndpoints },
});

/** A port that nobody has at the moment. */
async function freePort(): Promise<number> {
  const listener = new Listener({
    host: '127.0.0.1',
    port: 0,
    respond: () => ({ status: 200, headers: {}, body: '' }),
    onFailure: () => {},
  });
  await listener.start();
  const { port } = listener;
  listener.close();
  return port;
}

async function answer(port: number, path = '/'): Promise<number | string> {
  try {
    return (await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })).status;
  } catch (error) {
    return (error as { cause?: { code?: string } }).cause?.code ?? String(error);
  }
}

async function eventually(port: number, wanted: number | string): Promise<void> {
  const end = Date.now() + 3000;
  let last: number | string = '';
  while (Date.now() < end) {
    last = await answer(port);
    if (last === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`port ${port}: ${last} instead of ${wanted}`);
}

describe('health check servers', () => {
  let healthy = true;
  let warnings: string[] = [];
  let servers: HealthChecks;
  beforeEach(() => {
    healthy = true;
    warnings = [];
    servers = new HealthChecks({
      isHealthy: () => healthy,
      warnings: { warn: (fields, message) => warnings.push(`${JSON.stringify(fields)} ${message}`) > 0 },
      retryMs: { first: 20, most: 50 },
    });
    servers.setPlaces(LOOPBACK);
  });
  afterEach(() => servers.close());

  it('answers by local endpoints and health, on any path, and follows them', async () => {
    const port = await freePort();
    servers.update({ upserts: [check(port, 0)], removals: [] });
    await eventually(port, 503);
    servers.update({ upserts: [check(port, 2)], removals: [] });
    const response = await fetch(`http://127.0.0.1:${port}/any/path?x=1`);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-load-balancing-endpoint-weight')).toBe('2');
    expect(response.headers.get('content-type')).toBe('application/json');
    healthy = false;
    expect(await answer(port)).toBe(503);
    servers.update({ upserts: [], removals: ['default/web'] });
    await eventually(port, 'ECONNREFUSED');
  });

  it('moves with the port, also when two Services swap theirs', async () => {
    const [one, two] = [await freePort(), await freePort()];
    servers.update({ upserts: [check(one, 1, 'a'), check(two, 0, 'b')], removals: [] });
    await eventually(one, 200);
    await eventually(two, 503);
    servers.update({ upserts: [check(two, 1, 'a'), check(one, 0, 'b')], removals: [] });
    await eventually(one, 503);
    await eventually(two, 200);
    expect(warnings).toEqual([]);
  });

  it('names the Service whose port is taken, and serves it as soon as it is free', async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    const { port } = squatter.address() as { port: number };
    servers.update({ upserts: [check(port, 1)], removals: [] });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(warnings[0]).toMatch(
      /^\{"object":"Service default\/web","field":"spec.healthCheckNodePort"\} listen on 127\.0\.0\.1:\d+: another socket has the port \(EADDRINUSE\)/,
    );
    expect(servers.stats).toMatchObject({ servers: 1, listening: 0 });
    await new Promise((resolve) => squatter.close(resolve));
    await eventually(port, 200);
    expect(servers.stats).toMatchObject({ servers: 1, listening: 1 });
  });

  it('follows the addresses', async () => {
    const port = await freePort();
    servers.update({ upserts: [check(port, 1)], removals: [] });
    await eventually(port, 200);
    servers.setPlaces([{ host: '127.0.0.2', ipv6Only: false }]);
    await eventually(port, 'ECONNREFUSED');
    servers.setPlaces([...LOOPBACK, { host: '127.0.0.2', ipv6Only: false }]);
    await eventually(port, 200);
    expect(servers.stats.servers).toBe(2);
  });
});

describe('where health checks are answered', () => {
  const address = (ip: string, nodePorts: boolean) => ({ ip, nodePorts, loopback: false, primary: false });
  const addresses = [address('10.0.0.1', true), address('10.0.0.2', false), address('2001:db8::1', true)];
  const hosts = (wanted: string[]) => healthCheckPlaces(addresses, wanted).map(({ host }) => host);
  it.each<[string, string[], string[]]>([
    ['everywhere by default', [], ['0.0.0.0', '::']],
    ['an unnamed family everywhere', ['10.0.0.1/32'], ['10.0.0.1', '::']],
    ['only where the CIDRs say', ['10.0.0.1/32', '2001:db8::/64'], ['10.0.0.1', '2001:db8::1']],
    ['on primary addresses', ['primary'], ['10.0.0.1', '2001:db8::1']],
    ['/0 is everywhere', ['0.0.0.0/0', '2001:db8::/64'], ['0.0.0.0', '2001:db8::1']],
  ])('%s', (_, wanted, expected) => expect(hosts(wanted)).toEqual(expected));
});

describe('Listener', () => {
  it('sends what kube-proxy sends, in its order, and no body to HEAD', async () => {
    const listener = new Listener({
      host: '127.0.0.1',
      port: 0,
      respond: () => ({ status: 200, headers: { 'Content-Type': 'text/plain', 'X-A': 'b' }, body: 'ok' }),
      onFailure: () => {},
    });
    await listener.start();
    const { connect } = await import('node:net');
    const raw = async (method: string) => {
      const socket = connect(listener.port, '127.0.0.1');
      socket.write(`${method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      return text.replace(/Date: [^\r]+/, 'Date: D').split('\r\n');
    };
    const head = ['HTTP/1.1 200 OK', 'Content-Type: text/plain', 'X-A: b', 'Content-Length: 2', 'Date: D'];
    expect(await raw('GET')).toEqual([...head, '', 'ok']);
    expect(await raw('HEAD')).toEqual([...head, '', '']);
    expect((await raw('POST')).at(-1)).toBe('ok');
    listener.close();
  });
});

describe('parseBindAddress', () => {
  it.each<[string, string]>([
    ['0.0.0.0:10256', '0.0.0.0 10256'],
    ['[::]:10256', ':: 10256'],
    ['192.0.2.1', '192.0.2.1 1'],
    ['::1', '::1 1'],
  ])('%s', (text, expected) => {
    const parsed = parseBindAddress(text, 1);
    expect(`${parsed?.host} ${parsed?.port}`).toBe(expected);
  });
  it.each(['localhost:80', ':80', '0.0.0.0:0', '0.0.0.0:65536', '[0.0.0.0]:80', 'fe80::1:x', ''])(
    'refuses %s',
    (text) => expect(parseBindAddress(text, 1)).toBeUndefined(),
  );
});
