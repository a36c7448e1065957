import { describe, expect, it } from 'vitest';
import type { ServiceObject } from '../../../src/model/objects.js';
import { endpoint, model, parseEndpoint, port, put, remove, service, slice } from './builders.js';

function checked(fields: Partial<ServiceObject> = {}): ServiceObject {
  return service({
    type: 'LoadBalancer',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32000,
    ...fields,
  });
}

function count(...endpoints: string[]): number | undefined {
  const made = model({}, [put(checked()), put(slice({ endpoints: endpoints.map(parseEndpoint) }))]);
  return made.healthChecks()[0]?.localEndpoints;
}

describe('SEMANTICS 8: healthCheckNodePort', () => {
  it.each<[string, Partial<ServiceObject>, boolean]>([
    ['LoadBalancer with externalTrafficPolicy Local', {}, true],
    ['not with policy Cluster', { externalTrafficPolicy: 'Cluster' }, false],
    ['not on type NodePort', { type: 'NodePort' }, false],
    ['not without a port', { healthCheckNodePort: 0 }, false],
    ['not for another proxy', { proxyName: 'other' }, false],
    ['not headless', { headless: true, clusterIPs: [] }, false],
  ])('%s', (_, fields, expected) => {
    expect(model({}, [put(checked(fields))]).healthChecks()).toHaveLength(expected ? 1 : 0);
  });

  it.each<[string, string[], number]>([
    ['none', [], 0],
    ['local ready ones', ['a n1', 'b n1', 'c n2'], 2],
    ['not draining ones', ['a n1 draining', 'b n1'], 1],
    ['not even if they are the only ones', ['a n1 draining'], 0],
    ['not unready ones', ['a n1 unready'], 0],
    ['null is ready', ['a n1 null'], 1],
    ['ready counts as ready whatever terminating says', ['a n1 ready terminating=true'], 1],
    ['not those without a node', ['a -'], 0],
    ['hints do not matter', ['a n1 zones=z2'], 1],
  ])('counts %s', (_, endpoints, expected) => expect(count(...endpoints)).toBe(expected));

  it('counts distinct IPs over all ports, refused ones not', () => {
    const made = model({}, [
      put(checked({ ports: [port({ name: 'a', port: 80 }), port({ name: 'b', port: 81 })] })),
      put(
        slice({
          ports: [
            { name: 'a', protocol: 'TCP', port: 1 },
            { name: 'b', protocol: 'TCP', port: 2 },
          ],
          endpoints: ['10.1.0.1', '10.1.0.2', '127.0.0.1'].map((ip) => endpoint(ip, { nodeName: 'n1' })),
        }),
      ),
    ]);
    expect(made.healthChecks()[0]?.localEndpoints).toBe(2);
  });

  it('counts a dual-stack pod once, and says what each family has', () => {
    const made = model({}, [
      put(checked({ clusterIPs: ['10.96.0.10', 'fd00::10'] })),
      put(slice({ name: 'four', endpoints: [endpoint('10.1.0.1', { nodeName: 'n1' })] })),
      put(
        slice({
          name: 'six',
          addressType: 'IPv6',
          endpoints: ['2001:db8::1', '2001:db8::2'].map((ip) => endpoint(ip, { nodeName: 'n1' })),
        }),
      ),
    ]);
    expect(made.healthChecks()).toEqual([
      {
        namespace: 'default',
        name: 'web',
        port: 32000,
        localEndpoints: 2,
        localEndpointsByFamily: { 4: 1, 6: 2 },
      },
    ]);
  });

  it('tells changes in the delta, and only changes', () => {
    const made = model();
    const local = slice({ endpoints: [endpoint('10.1.0.1', { nodeName: 'n1' })] });
    expect(made.apply([put(checked())]).healthChecks?.upserts).toMatchObject([{ localEndpoints: 0 }]);
    expect(made.apply([put(local)]).healthChecks?.upserts).toMatchObject([{ localEndpoints: 1 }]);
    expect(made.apply([put({ ...local, name: 'web-2' })]).healthChecks).toBeUndefined();
    expect(made.apply([put(checked({ healthCheckNodePort: 32001 }))]).healthChecks?.upserts).toMatchObject([
      { port: 32001 },
    ]);
    expect(made.apply([remove('Service', 'default/web')]).healthChecks).toEqual({
      upserts: [],
      removals: ['default/web'],
    });
  });
});
