import { describe, expect, it } from 'vitest';
import type { ModelOptions } from '../../../src/model/model.js';
import type { ServiceObject } from '../../../src/model/objects.js';
import { model, port, put, service, showFrontends } from './builders.js';

function frontends(fields: Partial<ServiceObject>, options: Partial<ModelOptions> = {}): string[] {
  const made = model(options, [put(service(fields))]);
  return made.desired().flatMap(showFrontends);
}

const loadBalancer = { type: 'LoadBalancer' as const };

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
