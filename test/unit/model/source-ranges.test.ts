import { describe, expect, it } from 'vitest';
import type { ModelOptions } from '../../../src/model/model.js';
import type { ServiceObject } from '../../../src/model/objects.js';
import { model, node, port, put, remove, service, showFrontends } from './builders.js';

function guarded(ranges: string[], fields: Partial<ServiceObject> = {}): ServiceObject {
  return service({
    type: 'LoadBalancer',
    clusterIPs: ['10.96.0.10', 'fd00::10'],
    ports: [port({ nodePort: 30080 })],
    loadBalancerIngress: [{ ip: '192.0.2.1' }, { ip: '2001:db8::1' }],
    externalIPs: ['192.0.2.2'],
    loadBalancerSourceRanges: ranges,
    ...fields,
  });
}

function show(ranges: string[], options: Partial<ModelOptions> = {}): string[] {
  const made = model(options, [put(guarded(ranges))]);
  return made
    .desired()
    .flatMap(showFrontends)
    .filter((text) => text.startsWith('LoadBalancer'));
}

describe('SEMANTICS 7: loadBalancerSourceRanges', () => {
  it.each<[string, string[], string, string]>([
    ['no list is open', [], '', ''],
    [
      'a list guards its family and leaves the other open',
      ['198.51.100.0/24'],
      ' from [198.51.100.0/24]',
      '',
    ],
    ['IPv6 alone leaves IPv4 open', ['2001:db8:1::/48'], '', ' from [2001:db8:1::/48]'],
    [
      'both families',
      ['198.51.100.0/24', '2001:DB8:1::/48'],
      ' from [198.51.100.0/24]',
      ' from [2001:db8:1::/48]',
    ],
    ['white space is fine', [' 198.51.100.0/24\t'], ' from [198.51.100.0/24]', ''],
    ['host bits are cleared', ['198.51.100.77/24'], ' from [198.51.100.0/24]', ''],
    [
      'sorted and unique',
      ['203.0.113.0/24', '198.51.100.0/24', '198.51.100.9/24'],
      ' from [198.51.100.0/24 203.0.113.0/24]',
      '',
    ],
    ['a /0 opens its family', ['198.51.100.0/24', '0.0.0.0/0'], '', ''],
    [
      'a /0 of the other family opens only that one',
      ['198.51.100.0/24', '::/0'],
      ' from [198.51.100.0/24]',
      '',
    ],
    ['an entry that is none is left out', ['nonsense', '198.51.100.0/24'], ' from [198.51.100.0/24]', ''],
    ['a bare address is no entry', ['198.51.100.7', '198.51.100.0/24'], ' from [198.51.100.0/24]', ''],
    ['no entry that can be read denies everything', ['nonsense'], ' from []', ' from []'],
    ['an empty entry alone denies everything', [''], ' from []', ' from []'],
    ['several that can not be read deny everything', ['a', '10.0.0.0/99'], ' from []', ' from []'],
    [
      'one IPv6 entry that can be read leaves IPv4 open, as kube-proxy',
      ['a', '2001:db8:1::/48'],
      '',
      ' from [2001:db8:1::/48]',
    ],
  ])('%s', (_, ranges, four, six) => {
    expect(show(ranges)).toEqual([`LoadBalancer 192.0.2.1 80${four}`, `LoadBalancer 2001:db8::1 80${six}`]);
  });

  it('reports entries by position, and that everything is denied', () => {
    const made = model({}, [put(guarded(['198.51.100.0/24', 'x'], { name: 'one' })), put(guarded(['y']))]);
    const fields = made
      .warnings()
      .filter(({ field }) => field.includes('SourceRanges'))
      .map(({ object, field }) => `${object} ${field}`);
    expect(fields).toEqual([
      'Service default/one spec.loadBalancerSourceRanges[1]',
      'Service default/web spec.loadBalancerSourceRanges',
      'Service default/web spec.loadBalancerSourceRanges[0]',
    ]);
  });

  it('guards load-balancer IPs only, NodePorts on request', () => {
    const of = (sourceRangesOnNodePorts: boolean): string[] =>
      model({ sourceRangesOnNodePorts }, [put(guarded(['198.51.100.0/24'], { clusterIPs: ['10.96.0.10'] }))])
        .desired()
        .flatMap(showFrontends);
    expect(of(false)).toEqual([
      'ClusterIP 10.96.0.10 80',
      'LoadBalancer 192.0.2.1 80 from [198.51.100.0/24]',
      'ExternalIP 192.0.2.2 80',
      'NodePort * 30080',
    ]);
    expect(of(true)[3]).toBe('NodePort * 30080 from [198.51.100.0/24]');
  });

  it('means nothing on another type', () => {
    const made = model({ sourceRangesOnNodePorts: true }, [put(guarded(['x'], { type: 'NodePort' }))]);
    expect(made.desired().flatMap(showFrontends).join()).not.toContain('from');
    expect(made.warnings()).toEqual([]);
  });

  it('lets this node pass when a range covers one of its addresses, as they come and go', () => {
    const made = model({}, [put(guarded(['198.51.100.0/24'], { clusterIPs: ['10.96.0.10'] }))]);
    const passes = (): boolean | undefined => made.desired()[0]?.frontends[1]?.nodeAllowed;
    expect(passes()).toBe(false);
    made.setNodeAddresses(['10.0.0.1', 'fe80::1', '198.51.100.9']);
    expect(passes()).toBe(true);
    made.setNodeAddresses([]);
    expect(passes()).toBe(false);
    made.apply([put(node('n2', { internalIPs: ['198.51.100.9'] }))]);
    expect(passes()).toBe(false);
    made.apply([put(node('n1', { internalIPs: ['198.51.100.9'] }))]);
    expect(passes()).toBe(true);
    made.apply([remove('Node', 'n1')]);
    expect(passes()).toBe(false);
  });

  it('never lets the node pass what denies everything', () => {
    const made = model({ nodeAddresses: ['198.51.100.9'] }, [put(guarded(['nonsense']))]);
    expect(made.desired()[0]?.frontends[1]).toMatchObject({ sourceRanges: [], nodeAllowed: false });
  });
});
