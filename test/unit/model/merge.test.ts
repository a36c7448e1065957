import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DesiredService } from '../../../src/model/desired.js';
import type { Model } from '../../../src/model/model.js';
import type { EndpointObject, EndpointSliceObject } from '../../../src/model/objects.js';
import { endpoint, model, only, port, put, service, showBackends, slice } from './builders.js';

function withSlices(...slices: Partial<EndpointSliceObject>[]): Model {
  const named = slices.map((fields, index) => put(slice({ name: `web-${index}`, ...fields })));
  return model({}, [put(service()), ...named]);
}

function states(desired: DesiredService): string[] {
  return desired.backends.map(
    ({ ip, ready, serving, terminating }) => `${ip} ${ready} ${serving} ${terminating}`,
  );
}

const READY: Partial<EndpointObject> = { ready: true, serving: true, terminating: false };
const UNREADY: Partial<EndpointObject> = { ready: false, serving: false, terminating: false };
const DRAINING: Partial<EndpointObject> = { ready: false, serving: true, terminating: true };
const GONE: Partial<EndpointObject> = { ready: false, serving: false, terminating: true };

describe('SEMANTICS 1: slices that count', () => {
  it.each<[string, Partial<EndpointSliceObject>, string[]]>([
    ['a slice of the Service', {}, ['10.1.0.1:8080']],
    ['not one of another Service', { serviceName: 'other' }, []],
    ['not one of the same name in another namespace', { namespace: 'other' }, []],
    ['not one labelled headless', { headless: true }, []],
    ['not one of type FQDN', { addressType: 'FQDN' }, []],
    ['not one of the other family', { addressType: 'IPv6', endpoints: [endpoint('2001:db8::1')] }, []],
    ['a slice without ports gives nothing', { ports: [] }, []],
    ['a null port gives nothing', { ports: [{ name: 'http', protocol: 'TCP', port: null }] }, []],
    ['port 0 gives nothing', { ports: [{ name: 'http', protocol: 'TCP', port: 0 }] }, []],
    ['another port name gives nothing', { ports: [{ name: 'web', protocol: 'TCP', port: 8080 }] }, []],
    ['another protocol gives nothing', { ports: [{ name: 'http', protocol: 'UDP', port: 8080 }] }, []],
    [
      'only the first address counts',
      { endpoints: [{ addresses: ['10.1.0.1', '10.1.0.2'] }] },
      ['10.1.0.1:8080'],
    ],
  ])('%s', (_, fields, expected) => {
    expect(showBackends(only(withSlices({ endpoints: [endpoint('10.1.0.1')], ...fields })))).toEqual(
      expected,
    );
  });

  it('leaves out a slice without a Service label', () => {
    const { serviceName: _, ...orphan } = slice({ endpoints: [endpoint('10.1.0.1')] });
    expect(showBackends(only(model({}, [put(service()), put(orphan)])))).toEqual([]);
  });
});

describe('SEMANTICS 1: ports match by name and protocol, the number comes from the slice', () => {
  it('takes the slice port, not targetPort', () => {
    const made = model({}, [
      put(service({ ports: [port({ targetPort: 1234 })] })),
      put(slice({ endpoints: [endpoint('10.1.0.1')] })),
    ]);
    expect(showBackends(only(made))).toEqual(['10.1.0.1:8080']);
  });

  it('keeps the same number apart by protocol', () => {
    const made = model({}, [
      put(
        service({
          ports: [port({ name: 'dns', protocol: 'UDP', port: 53 }), port({ name: 'dns-tcp', port: 53 })],
        }),
      ),
      put(
        slice({
          ports: [
            { name: 'dns', protocol: 'UDP', port: 5353 },
            { name: 'dns-tcp', protocol: 'TCP', port: 5354 },
          ],
          endpoints: [endpoint('10.1.0.1')],
        }),
      ),
    ]);
    expect(made.desired().map((desired) => [desired.id, showBackends(desired)])).toEqual([
      ['default/web:dns-tcp/TCP/IPv4', ['10.1.0.1:5354']],
      ['default/web:dns/UDP/IPv4', ['10.1.0.1:5353']],
    ]);
  });

  it('gives a verdict for each port: one forwards, the other rejects', () => {
    const made = model({}, [
      put(service({ ports: [port({ name: 'a', port: 80 }), port({ name: 'b', port: 81 })] })),
      put(
        slice({
          ports: [
            { name: 'a', protocol: 'TCP', port: 1 },
            { name: 'b', protocol: 'TCP', port: null },
          ],
          endpoints: [endpoint('10.1.0.1')],
        }),
      ),
    ]);
    expect(made.desired().map(({ cluster }) => cluster.backends.length)).toEqual([1, 0]);
  });

  it('reads one IP with two ports as two backends', () => {
    const made = withSlices(
      { endpoints: [endpoint('10.1.0.1')] },
      { ports: [{ name: 'http', protocol: 'TCP', port: 8081 }], endpoints: [endpoint('10.1.0.1')] },
    );
    expect(showBackends(only(made))).toEqual(['10.1.0.1:8080', '10.1.0.1:8081']);
  });

  it('reports a port number that is none', () => {
    const made = withSlices({ ports: [{ name: 'http', protocol: 'TCP', port: 70000 }] });
    expect(made.warnings()).toMatchObject([
      { object: 'EndpointSlice default/web-0', field: 'ports[0].port' },
    ]);
  });
});

describe('SEMANTICS 1: one backend for one ip:port, whatever the number of slices', () => {
  it.each<[string, Partial<EndpointObject>, Partial<EndpointObject>, string]>([
    ['the same twice', READY, READY, 'true true false'],
    ['ready beats draining', READY, DRAINING, 'true true false'],
    ['not yet ready beats draining, since it does not terminate', UNREADY, DRAINING, 'false false false'],
    ['not yet ready beats gone', UNREADY, GONE, 'false false false'],
    ['ready beats not yet ready', READY, UNREADY, 'true true false'],
    ['draining beats gone', DRAINING, GONE, 'false true true'],
    ['null conditions are ready and not terminating', {}, DRAINING, 'true true false'],
  ])('%s, in either order', (_, one, other, expected) => {
    for (const [first, second] of [
      [one, other],
      [other, one],
    ]) {
      const made = withSlices(
        { endpoints: [endpoint('10.1.0.1', first)] },
        { endpoints: [endpoint('10.1.0.1', second)] },
      );
      expect(states(only(made))).toEqual([`10.1.0.1 ${expected}`]);
    }
  });

  it('takes the entry that names a node before one that names none', () => {
    const made = withSlices(
      { endpoints: [endpoint('10.1.0.1')] },
      { endpoints: [endpoint('10.1.0.1', { nodeName: 'n1' })] },
    );
    expect(only(made).backends[0]?.onNode).toBe(true);
  });

  it('takes the entry of the slice that sorts first when nothing else tells them apart', () => {
    const one = { name: 'a', endpoints: [endpoint('10.1.0.1', { zone: 'z1' })] };
    const other = { name: 'b', endpoints: [endpoint('10.1.0.1', { zone: 'z2' })] };
    expect(only(withSlices(one, other)).backends[0]?.zone).toBe('z1');
    expect(only(withSlices(other, one)).backends[0]?.zone).toBe('z1');
  });

  it('is sorted by number and does not depend on the order or the split of slices', () => {
    const ips = ['10.1.0.9', '10.1.0.10', '10.1.0.11', '10.1.1.0'];
    fc.assert(
      fc.property(fc.shuffledSubarray(ips, { minLength: 4 }), fc.nat(4), (shuffled, cut) => {
        const made = withSlices(
          { endpoints: shuffled.slice(0, cut).map((ip) => endpoint(ip)) },
          { endpoints: shuffled.slice(cut).map((ip) => endpoint(ip)) },
        );
        expect(showBackends(only(made))).toEqual(ips.map((ip) => `${ip}:8080`));
      }),
    );
  });
});

describe('SEMANTICS 1: refused as a backend', () => {
  it.each([
    ['0.0.0.0', 'IPv4', 'is an unspecified address'],
    ['127.0.0.1', 'IPv4', 'is a loopback address'],
    ['169.254.169.254', 'IPv4', 'is a link-local address'],
    ['224.0.0.1', 'IPv4', 'is a multicast address'],
    ['255.255.255.255', 'IPv4', 'is a broadcast address'],
    ['::', 'IPv6', 'is an unspecified address'],
    ['::1', 'IPv6', 'is a loopback address'],
    ['fe80::1', 'IPv6', 'is a link-local address'],
    ['ff02::1', 'IPv6', 'is a multicast address'],
    ['::ffff:10.1.0.1', 'IPv6', 'is an IPv4-mapped address'],
    ['fe80::1%eth0', 'IPv6', 'has a zone id'],
    ['010.1.0.1', 'IPv4', 'has leading zeros'],
    ['', 'IPv4', 'is empty'],
    ['nonsense', 'IPv4', 'is not an IP address'],
    ['2001:db8::1', 'IPv4', 'is no IPv4 address'],
    ['10.1.0.1', 'IPv6', 'is no IPv6 address'],
    ['10.96.0.10', 'IPv4', 'is the cluster IP of a Service'],
    ['fd00::10', 'IPv6', 'is the cluster IP of a Service'],
  ] as const)('%j in an %s slice: %s', (ip, addressType, cause) => {
    const good = addressType === 'IPv4' ? '10.1.0.7' : '2001:db8::7';
    const made = model({}, [
      put(service({ clusterIPs: ['10.96.0.10', 'fd00::10'] })),
      put(slice({ addressType, endpoints: [endpoint(good), endpoint(ip)] })),
    ]);
    const backends = made.desired().flatMap(showBackends);
    expect(backends).toEqual([`${good}:8080`]);
    expect(made.warnings()).toEqual([
      {
        object: 'EndpointSlice default/web-1',
        field: 'endpoints[1].addresses[0]',
        message: expect.stringContaining(cause),
      },
    ]);
  });

  it('an endpoint without addresses is refused, not a wildcard', () => {
    const made = withSlices({ endpoints: [{ addresses: [] }] });
    expect(only(made).backends).toEqual([]);
    expect(made.warnings()).toHaveLength(1);
  });

  it('looks again when a Service with that address appears, and when it goes', () => {
    const made = withSlices({ endpoints: [endpoint('10.96.0.99')] });
    expect(showBackends(only(made))).toEqual(['10.96.0.99:8080']);
    const late = service({ name: 'late', clusterIPs: ['10.96.0.99'] });
    const delta = made.apply([put(late)]);
    expect(delta.upserts.map(({ id }) => id)).toEqual([
      'default/late:http/TCP/IPv4',
      'default/web:http/TCP/IPv4',
    ]);
    expect(delta.warnings).toMatchObject([{ object: 'EndpointSlice default/web-0' }]);
    expect(made.desired().flatMap(showBackends)).toEqual([]);
    made.apply([{ kind: 'Service', key: 'default/late', object: undefined }]);
    expect(showBackends(only(made))).toEqual(['10.96.0.99:8080']);
    expect(made.warnings()).toEqual([]);
  });

  it('the left-over cluster IP of an ExternalName is nobody’s', () => {
    const made = withSlices({ endpoints: [endpoint('10.96.0.99')] });
    made.apply([put(service({ name: 'ext', type: 'ExternalName', clusterIPs: ['10.96.0.99'] }))]);
    expect(showBackends(only(made))).toEqual(['10.96.0.99:8080']);
  });
});

describe('SEMANTICS 1: dual stack, each family for itself', () => {
  const both = service({ clusterIPs: ['10.96.0.10', 'fd00::10'] });

  it('gives each family the slices of its type', () => {
    const made = model({}, [
      put(both),
      put(slice({ name: 'four', endpoints: [endpoint('10.1.0.1')] })),
      put(slice({ name: 'six', addressType: 'IPv6', endpoints: [endpoint('2001:DB8:0::1')] })),
    ]);
    expect(made.desired().map((desired) => [desired.family, showBackends(desired)])).toEqual([
      [4, ['10.1.0.1:8080']],
      [6, ['2001:db8::1:8080']],
    ]);
  });

  it('rejects on IPv6 when only IPv4 endpoints exist', () => {
    const made = model({}, [
      put(both),
      put(slice({ endpoints: [endpoint('10.1.0.1', { nodeName: 'n1' })] })),
    ]);
    const six = made.desired().find(({ family }) => family === 6);
    expect([six?.internal, six?.cluster, six?.local]).toEqual([
      { backends: [], whenEmpty: 'reject' },
      { backends: [], whenEmpty: 'reject' },
      { backends: [], whenEmpty: 'reject' },
    ]);
  });
});
