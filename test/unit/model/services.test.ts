import { describe, expect, it } from 'vitest';
import type { ModelOptions } from '../../../src/model/model.js';
import type { ServiceObject } from '../../../src/model/objects.js';
import { model, port, put, service, showFrontends } from './builders.js';

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

describe('addresses that no client can mean', () => {
  const fields = (ip: string) => ({
    clusterIPs: ['10.96.0.10'],
    ...loadBalancer,
    loadBalancerIngress: [{ ip }],
  });
  it.each([
    ['127.0.0.1', 'a loopback', 'a loopback'],
    ['224.0.0.1', 'a multicast', 'a multicast'],
    ['255.255.255.255', 'a broadcast', 'a broadcast'],
    ['0.0.0.0', 'an unspecified', 'an unspecified'],
    ['::ffff:10.0.0.1', 'an IPv4-mapped', 'an IPv4-mapped'],
    ['169.254.1.1', 'a link-local', undefined],
  ])('%s is no frontend, and that is said', (ip, asClusterIp, asIngress) => {
    const cluster = model({ serveAll: true }, [put(service({ clusterIPs: [ip] }))]);
    const text = (kind: string) =>
      `${JSON.stringify(ip)} is ${kind} address and is left out; correct or remove it`;
    expect(cluster.desired()).toEqual([]);
    expect(cluster.warnings()).toEqual([
      { object: 'Service default/web', field: 'spec.clusterIPs[0]', message: text(asClusterIp) },
    ]);
    const balancer = model({ serveAll: true }, [put(service(fields(ip)))]);
    expect(balancer.warnings()).toEqual(
      asIngress === undefined
        ? []
        : [
            {
              object: 'Service default/web',
              field: 'status.loadBalancer.ingress[0].ip',
              message: text(asIngress),
            },
          ],
    );
  });
});

describe('a NodePort outside of the range', () => {
  it('is served, and reported', () => {
    const nodePortRange = { min: 30_000, max: 32_767 };
    const made = model({ serveAll: true, nodePortRange }, [
      put(service({ type: 'NodePort', ports: [port({ nodePort: 12_000 })] })),
    ]);
    expect(made.desired().flatMap(showFrontends).join()).toContain('12000');
    expect(made.warnings()).toEqual([
      expect.objectContaining({
        field: 'spec.ports[0].nodePort',
        message: expect.stringMatching(/^12000 is outside of 30000-32767.*--service-node-port-range$/),
      }),
    ]);
  });
});
