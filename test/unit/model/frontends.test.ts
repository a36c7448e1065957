import { describe, expect, it } from 'vitest';
import { Model, type ModelOptions } from '../../../src/model/model.js';
import type { ServiceObject, Warning } from '../../../src/model/objects.js';
import { model, node, port, put, remove, service, showFrontends } from './builders.js';

function frontends(fields: Partial<ServiceObject>, options: Partial<ModelOptions> = {}): string[] {
  const made = model(options, [put(service(fields))]);
  return made.desired().flatMap(showFrontends);
}

const loadBalancer = { type: 'LoadBalancer' as const };

describe('SEMANTICS 1: Services that count', () => {
  it.each<[string, Partial<ServiceObject>, boolean, boolean]>([
    ['ClusterIP without a label', {}, true, false],
    ['NodePort without a label', { type: 'NodePort' }, true, false],
    ['LoadBalancer without a label', loadBalancer, true, false],
    ['labelled for us', { proxyName: 'shunt' }, true, true],
    ['labelled for another proxy', { proxyName: 'other' }, false, false],
    ['labelled with an empty name', { proxyName: '' }, false, false],
    ['labelled with our name in capitals', { proxyName: 'Shunt' }, false, false],
    ['ExternalName', { type: 'ExternalName', clusterIPs: [] }, false, false],
    ['ExternalName with a left-over cluster IP', { type: 'ExternalName', proxyName: 'shunt' }, false, false],
    ['headless', { headless: true, clusterIPs: [] }, false, false],
    ['headless and labelled for us', { headless: true, clusterIPs: [], proxyName: 'shunt' }, false, false],
    ['no cluster IP', { clusterIPs: [] }, false, false],
    [
      'headless with an external IP',
      { headless: true, clusterIPs: [], externalIPs: ['192.0.2.1'] },
      false,
      false,
    ],
  ])('%s', (_, fields, servedAll, servedByLabel) => {
    const all = model({ serveAll: true }, [put(service(fields))]);
    const labelled = model({ serveAll: false }, [put(service(fields))]);
    expect([all.desired().length > 0, labelled.desired().length > 0]).toEqual([servedAll, servedByLabel]);
    expect([...all.warnings(), ...labelled.warnings()]).toEqual([]);
  });

  it('follows the label as it comes and goes', () => {
    const made = model({ serveAll: false }, [put(service())]);
    expect(made.apply([put(service({ proxyName: 'shunt' }))]).upserts).toHaveLength(1);
    expect(made.apply([put(service({ proxyName: '' }))]).removals).toEqual(['default/web:http/TCP/IPv4']);
  });

  it('is silent about what is wrong with Services of others', () => {
    const made = model({ serveAll: false }, [put(service({ clusterIPs: ['nonsense'], externalIPs: ['x'] }))]);
    expect(made.warnings()).toEqual([]);
  });
});

describe('SEMANTICS 2: frontends', () => {
  it.each<[string, Partial<ServiceObject>, string[]]>([
    ['a cluster IP', {}, ['ClusterIP 10.96.0.10 80']],
    [
      'cluster IPs of both families',
      { clusterIPs: ['10.96.0.10', 'FD00::0:10'] },
      ['ClusterIP 10.96.0.10 80', 'ClusterIP fd00::10 80'],
    ],
    [
      'every port',
      { ports: [port({ name: 'a', port: 80 }), port({ name: 'b', port: 443 })] },
      ['ClusterIP 10.96.0.10 80', 'ClusterIP 10.96.0.10 443'],
    ],
    [
      'one number in three protocols',
      {
        ports: [
          port({ name: 'a', protocol: 'TCP', port: 53 }),
          port({ name: 'b', protocol: 'UDP', port: 53 }),
          port({ name: 'c', protocol: 'SCTP', port: 53 }),
        ],
      },
      ['ClusterIP 10.96.0.10 53', 'ClusterIP 10.96.0.10 53', 'ClusterIP 10.96.0.10 53'],
    ],
    [
      'a NodePort',
      { type: 'NodePort', ports: [port({ nodePort: 30080 })] },
      ['ClusterIP 10.96.0.10 80', 'NodePort * 30080'],
    ],
    [
      'a NodePort of a LoadBalancer',
      { ...loadBalancer, ports: [port({ nodePort: 30080 })] },
      ['ClusterIP 10.96.0.10 80', 'NodePort * 30080'],
    ],
    ['allocateLoadBalancerNodePorts false leaves none', loadBalancer, ['ClusterIP 10.96.0.10 80']],
    [
      'a load-balancer IP',
      { ...loadBalancer, loadBalancerIngress: [{ ip: '192.0.2.127' }] },
      ['ClusterIP 10.96.0.10 80', 'LoadBalancer 192.0.2.127 80'],
    ],
    [
      'several load-balancer IPs, once each',
      {
        ...loadBalancer,
        loadBalancerIngress: [{ ip: '192.0.2.2' }, { ip: '192.0.2.1' }, { ip: '192.0.2.2' }],
      },
      ['ClusterIP 10.96.0.10 80', 'LoadBalancer 192.0.2.2 80', 'LoadBalancer 192.0.2.1 80'],
    ],
    [
      'ipMode VIP',
      { ...loadBalancer, loadBalancerIngress: [{ ip: '192.0.2.127', ipMode: 'VIP' }] },
      ['ClusterIP 10.96.0.10 80', 'LoadBalancer 192.0.2.127 80'],
    ],
    [
      'no frontend for ipMode Proxy',
      { ...loadBalancer, loadBalancerIngress: [{ ip: '192.0.2.127', ipMode: 'Proxy' }] },
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'no frontend for a hostname alone',
      { ...loadBalancer, loadBalancerIngress: [{ hostname: 'lb.example.com' }] },
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'no frontend for a load-balancer IP of another family',
      { ...loadBalancer, loadBalancerIngress: [{ ip: '2001:db8::127' }] },
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'no load-balancer IP on another type',
      { type: 'NodePort', loadBalancerIngress: [{ ip: '192.0.2.127' }] },
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'an external IP on type ClusterIP',
      { externalIPs: ['192.0.2.9'] },
      ['ClusterIP 10.96.0.10 80', 'ExternalIP 192.0.2.9 80'],
    ],
    [
      'an external IP of another family is no frontend',
      { externalIPs: ['2001:db8::9'] },
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'an address that is load-balancer IP and external IP keeps its source ranges',
      {
        ...loadBalancer,
        loadBalancerIngress: [{ ip: '192.0.2.9' }],
        externalIPs: ['192.0.2.9'],
        loadBalancerSourceRanges: ['198.51.100.0/24'],
      },
      ['ClusterIP 10.96.0.10 80', 'LoadBalancer 192.0.2.9 80 from [198.51.100.0/24]'],
    ],
    [
      'an IPv4-only Service has no NodePort on IPv6; a dual-stack one has it on both',
      {
        type: 'NodePort',
        clusterIPs: ['fd00::10', '10.96.0.10'],
        ports: [port({ nodePort: 30080 })],
      },
      ['ClusterIP 10.96.0.10 80', 'NodePort * 30080', 'ClusterIP fd00::10 80', 'NodePort * 30080'],
    ],
    [
      'all kinds on one port',
      {
        ...loadBalancer,
        loadBalancerIngress: [{ ip: '192.0.2.127' }],
        externalIPs: ['192.0.2.9'],
        ports: [port({ nodePort: 30080 })],
      },
      [
        'ClusterIP 10.96.0.10 80',
        'LoadBalancer 192.0.2.127 80',
        'ExternalIP 192.0.2.9 80',
        'NodePort * 30080',
      ],
    ],
  ])('%s', (_, fields, expected) => expect(frontends(fields)).toEqual(expected));

  it('identifies each service port and family for life', () => {
    const made = model({}, [
      put(service({ clusterIPs: ['fd00::10', '10.96.0.10'], ports: [port({ name: '' })] })),
    ]);
    expect(made.desired().map(({ id }) => id)).toEqual(['default/web:/TCP/IPv4', 'default/web:/TCP/IPv6']);
  });
});

describe('SEMANTICS 2: input that is wrong costs itself and nothing else', () => {
  it.each<[string, Partial<ServiceObject>, string, string[]]>([
    [
      'a cluster IP that is none',
      { clusterIPs: ['10.96.0.300', 'fd00::10'] },
      'spec.clusterIPs[0]',
      ['ClusterIP fd00::10 80'],
    ],
    [
      'a cluster IP with leading zeros leaves the NodePort',
      { clusterIPs: ['010.96.0.10'], type: 'NodePort', ports: [port({ nodePort: 30080 })] },
      'spec.clusterIPs[0]',
      ['NodePort * 30080'],
    ],
    [
      'an empty cluster IP',
      { clusterIPs: ['', '10.96.0.10'] },
      'spec.clusterIPs[0]',
      ['ClusterIP 10.96.0.10 80'],
    ],
    ['an unspecified cluster IP', { clusterIPs: ['0.0.0.0'] }, 'spec.clusterIPs[0]', []],
    [
      'a load-balancer IP that is none',
      { ...loadBalancer, loadBalancerIngress: [{ hostname: 'a' }, { ip: 'x' }, { ip: '192.0.2.1' }] },
      'status.loadBalancer.ingress[1].ip',
      ['ClusterIP 10.96.0.10 80', 'LoadBalancer 192.0.2.1 80'],
    ],
    [
      'an IPv4-mapped load-balancer IP',
      { ...loadBalancer, loadBalancerIngress: [{ ip: '::ffff:192.0.2.1' }] },
      'status.loadBalancer.ingress[0].ip',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'an external IP that is none',
      { externalIPs: ['x', '192.0.2.1'] },
      'spec.externalIPs[0]',
      ['ClusterIP 10.96.0.10 80', 'ExternalIP 192.0.2.1 80'],
    ],
    [
      'a port number that is none',
      { ports: [port({ name: 'a', port: 0 }), port()] },
      'spec.ports[0].port',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'a port used twice',
      { ports: [port(), port({ name: 'b' })] },
      'spec.ports[1]',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'a name used twice',
      { ports: [port(), port({ port: 81 })] },
      'spec.ports[1]',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'a node port out of range',
      { type: 'NodePort', ports: [port({ nodePort: 70000 })] },
      'spec.ports[0].nodePort',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'a node port on type ClusterIP',
      { ports: [port({ nodePort: 30080 })] },
      'spec.ports[0].nodePort',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'an affinity timeout out of range',
      { sessionAffinity: { mode: 'ClientIP', timeoutSeconds: 0 } },
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'an algorithm that is none',
      { annotations: { 'shunt.dev/algorithm': 'rr' } },
      'metadata.annotations[shunt.dev/algorithm]',
      ['ClusterIP 10.96.0.10 80'],
    ],
    [
      'an annotation that is not known',
      { annotations: { 'shunt.dev/algoritm': 'maglev' } },
      'metadata.annotations[shunt.dev/algoritm]',
      ['ClusterIP 10.96.0.10 80'],
    ],
  ])('%s', (_, fields, field, expected) => {
    const made = model({}, [
      put(service(fields)),
      put(service({ name: 'other', clusterIPs: ['10.96.0.11'] })),
    ]);
    const of = (name: string): string[] =>
      made.desired().flatMap((desired) => (desired.name === name ? showFrontends(desired) : []));
    expect(of('web')).toEqual(expected);
    expect(of('other')).toEqual(['ClusterIP 10.96.0.11 80']);
    expect(made.warnings().map((warning) => `${warning.object} ${warning.field}`)).toEqual([
      `Service default/web ${field}`,
    ]);
  });
});

describe('SEMANTICS 2: external IPs and their allow-list', () => {
  const DEFAULT: [string, string, boolean][] = [
    ['an outside address', '192.0.2.9', true],
    ['a private outside address', '172.16.0.9', true],
    ['inside the cluster IP range', '10.96.3.4', false],
    ['inside the pod range', '10.1.3.4', false],
    ['inside the pod range of a Node', '10.200.1.7', false],
    ['loopback', '127.0.0.1', false],
    ['link-local', '169.254.169.254', false],
    ['multicast', '224.0.0.1', false],
    ['broadcast', '255.255.255.255', false],
    ['the cluster IP of another Service', '172.20.0.1', false],
  ];
  it.each(DEFAULT)('by default, %s (%s): %s', (_, ip, accepted) => {
    const made = model({ serviceCidrs: ['10.96.0.0/16'], podCidrs: ['10.1.0.0/16'] }, [
      put(service({ externalIPs: [ip] })),
      put(service({ name: 'other', clusterIPs: ['172.20.0.1'] })),
      put(node('n2', { podCIDRs: ['10.200.1.0/24'] })),
    ]);
    const web = made.desired().find(({ name }) => name === 'web');
    expect(showFrontends(web).includes(`ExternalIP ${ip} 80`)).toBe(accepted);
    expect(made.warnings().map(({ field }) => field)).toEqual(accepted ? [] : ['spec.externalIPs']);
  });

  it.each<[string, string[], string, boolean]>([
    ['a list accepts what lies in it', ['192.0.2.0/24'], '192.0.2.9', true],
    ['a list refuses what does not', ['192.0.2.0/24'], '198.51.100.1', false],
    ['a list may even name the cluster IP range', ['10.96.0.0/16'], '10.96.3.4', true],
    ['an empty list means none', [], '192.0.2.9', false],
    ['a list of nothing valid means none', ['nonsense'], '192.0.2.9', false],
    ['a list with one valid entry is that entry', ['nonsense', '192.0.2.0/24'], '192.0.2.9', true],
    ['a list of the other family refuses', ['::/0'], '192.0.2.9', false],
  ])('%s', (_, externalIpCidrs, ip, accepted) => {
    const found = frontends({ externalIPs: [ip] }, { externalIpCidrs, serviceCidrs: ['10.96.0.0/16'] });
    expect(found.includes(`ExternalIP ${ip} 80`)).toBe(accepted);
  });

  it('reports configuration that can not be read once, with the first delta', () => {
    const made = new Model({
      nodeName: 'n1',
      serveAll: true,
      externalIpCidrs: ['nonsense'],
      serviceCidrs: ['10.96.0.0'],
    });
    const expected = ['configuration externalIpCidrs[0]', 'configuration serviceCidrs[0]'];
    const show = ({ object, field }: Warning): string => `${object} ${field}`;
    expect(made.apply([]).warnings.map(show)).toEqual(expected);
    expect(made.apply([]).warnings).toEqual([]);
    expect(made.warnings().map(show)).toEqual(expected);
    expect(made.setClusterRanges({ serviceCidrs: ['10.96.0.0/33'] }).warnings.map(show)).toEqual([
      'configuration serviceCidrs[0]',
    ]);
    expect(made.warnings()).toHaveLength(2);
  });

  it('judges again when the ranges, a Node or a cluster IP become known', () => {
    const made = model({}, [put(service({ externalIPs: ['10.1.0.9'] }))]);
    const listens = (): boolean => made.desired().flatMap(showFrontends).includes('ExternalIP 10.1.0.9 80');
    expect(listens()).toBe(true);
    made.setClusterRanges({ podCidrs: ['10.1.0.0/16'] });
    expect(listens()).toBe(false);
    made.setClusterRanges({ podCidrs: [] });
    expect(listens()).toBe(true);
    made.apply([put(node('n7', { podCIDRs: ['10.1.0.0/24'] }))]);
    expect(listens()).toBe(false);
    made.apply([remove('Node', 'n7')]);
    expect(listens()).toBe(true);
    made.apply([put(service({ name: 'other', clusterIPs: ['10.1.0.9'], ports: [port({ port: 81 })] }))]);
    expect(listens()).toBe(false);
    made.apply([remove('Service', 'default/other')]);
    expect(listens()).toBe(true);
    expect(made.warnings()).toEqual([]);
  });
});

describe('SEMANTICS 5: affinity and algorithm', () => {
  it.each<[string, Partial<ServiceObject>, Partial<ModelOptions>, string]>([
    ['random by default', {}, {}, 'random'],
    ['the agent’s default', {}, { defaultAlgorithm: 'maglev' }, 'maglev'],
    ['the annotation', { annotations: { 'shunt.dev/algorithm': 'maglev' } }, {}, 'maglev'],
    [
      'the annotation over the default',
      { annotations: { 'shunt.dev/algorithm': 'random' } },
      { defaultAlgorithm: 'maglev' },
      'random',
    ],
    [
      'the default where the annotation is wrong',
      { annotations: { 'shunt.dev/algorithm': 'x' } },
      { defaultAlgorithm: 'maglev' },
      'maglev',
    ],
  ])('%s', (_, fields, options, algorithm) => {
    expect(model(options, [put(service(fields))]).desired()[0]?.algorithm).toBe(algorithm);
  });

  it('keeps the affinity timeout, and replaces one that is out of range by three hours', () => {
    const affinity = (timeoutSeconds: number) =>
      model({}, [put(service({ sessionAffinity: { mode: 'ClientIP', timeoutSeconds } }))]).desired()[0]
        ?.affinity;
    expect(affinity(5)).toEqual({ mode: 'ClientIP', timeoutSeconds: 5 });
    expect(affinity(86_401)).toEqual({ mode: 'ClientIP', timeoutSeconds: 10_800 });
  });
});
