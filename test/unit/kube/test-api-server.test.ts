import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { service, TestApiServer } from '../../support/api-server/index.js';

// The test API server as other programs see it: kubectl, the cluster in a box.

let server: TestApiServer;
beforeAll(async () => {
  server = await TestApiServer.start();
});
afterAll(async () => {
  await server.close();
});

async function call(method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

const services = '/api/v1/namespaces/shop/services';

describe('the test API server', () => {
  it('takes objects over HTTP, with conflicts as a real one has them', async () => {
    const web = service('web', {}, { namespace: 'shop' });
    const created = await call('POST', services, web);
    expect(created).toMatchObject({ status: 201, body: { metadata: { name: 'web', namespace: 'shop' } } });
    expect(await call('POST', services, web)).toMatchObject({
      status: 409,
      body: { reason: 'AlreadyExists' },
    });
    const changed = await call('PUT', `${services}/web`, created.body as object);
    expect(changed.status).toBe(200);
    expect(await call('PUT', `${services}/web`, created.body as object)).toMatchObject({ status: 409 });
    const patch = { metadata: { labels: { a: 'b' } }, spec: { type: null } };
    expect(await call('PATCH', `${services}/web`, patch)).toMatchObject({
      status: 200,
      body: { metadata: { labels: { a: 'b' } }, spec: { ports: [{ port: 80 }] } },
    });
    expect(await call('GET', `${services}/web`)).toMatchObject({ status: 200, body: { kind: 'Service' } });
    expect(await call('DELETE', `${services}/web`)).toMatchObject({ status: 200 });
    expect(await call('GET', `${services}/web`)).toMatchObject({ status: 404, body: { kind: 'Status' } });
  });

  it.each([
    ['POST', services, { kind: 'Service' }, 400],
    ['POST', services, { kind: 'Pod', metadata: { name: 'p' } }, 400],
    ['PUT', `${services}/a`, { kind: 'Service', metadata: { name: 'b' } }, 400],
    ['DELETE', services, undefined, 405],
    ['GET', '/api/v1/secrets', undefined, 404],
  ] as const)('refuses %s %s %o with %i', async (method, path, body, status) => {
    expect(await call(method, path, body)).toMatchObject({ status, body: { kind: 'Status', code: status } });
  });

  it('lists by namespace, label and page', async () => {
    for (const name of ['a', 'b', 'c']) {
      server.put(service(name, {}, { namespace: 'pages', labels: { name } }), service(name));
    }
    const names = ({ body }: { body: unknown }) =>
      (body as { items: { metadata: { name: string } }[] }).items.map((each) => each.metadata.name);
    const pages = '/api/v1/namespaces/pages/services';
    expect(names(await call('GET', pages))).toEqual(['a', 'b', 'c']);
    expect(names(await call('GET', `${pages}?labelSelector=${encodeURIComponent('name!=b,name')}`))).toEqual([
      'a',
      'c',
    ]);
    expect(names(await call('GET', `/api/v1/services?labelSelector=name%3Db`))).toEqual(['b']);
    const first = await call('GET', `${pages}?limit=2`);
    server.delete('Service', 'c', 'pages');
    const { metadata } = first.body as { metadata: { continue: string } };
    // The second page still shows the moment of the first.
    expect(names(await call('GET', `${pages}?limit=2&continue=${metadata.continue}`))).toEqual(['c']);
    server.compact();
    const again = await call('GET', `${pages}?limit=1`);
    server.put(service('d'));
    server.compact();
    const token = (again.body as { metadata: { continue: string } }).metadata.continue;
    expect(await call('GET', `${pages}?limit=1&continue=${token}`)).toMatchObject({ status: 410 });
  });

  it('tells kubectl what it has', async () => {
    expect(await call('GET', '/api')).toMatchObject({ body: { versions: ['v1'] } });
    expect(await call('GET', '/apis/discovery.k8s.io/v1')).toMatchObject({
      body: { resources: [{ name: 'endpointslices', namespaced: true }] },
    });
  });

  it('makes faults on request', async () => {
    const { store } = server;
    server.put(service('x'));
    expect(await call('POST', '/_test/compact')).toMatchObject({ status: 200 });
    expect(store.compactedVersion).toBe(store.version);
    expect(await call('POST', '/_test/nonsense')).toMatchObject({ status: 404 });
  });
});
