import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { ManifestSource } from '../../../src/kube/manifest-source.js';
import type { EndpointSliceObject, NodeObject, ServiceObject } from '../../../src/model/objects.js';
import { Recorder, until } from './recorder.js';

// The reference list of SEMANTICS section 9, as the manifests in examples/ give it.

const sink = new Recorder();

beforeAll(async () => {
  const source = new ManifestSource({
    directory: fileURLToPath(new URL('../../../examples', import.meta.url)),
  });
  source.start(sink);
  await until('synced', () => sink.syncs === 1);
  await source.stop();
});

function service(key: string): ServiceObject {
  return sink.state.get(`Service ${key}`) as ServiceObject;
}

/** `http 10.244.1.11:5003` for every endpoint and port, sorted. */
function endpoints(key: string): string[] {
  const [namespace, name] = key.split('/');
  return [...sink.state.entries()]
    .filter(([id]) => id.startsWith('EndpointSlice '))
    .map(([, object]) => object as EndpointSliceObject)
    .filter((slice) => slice.namespace === namespace && slice.serviceName === name)
    .flatMap((slice) =>
      slice.endpoints.flatMap(({ addresses, nodeName }) =>
        slice.ports.map((port) => `${port.name}/${port.protocol} ${addresses[0]} ${port.port} ${nodeName}`),
      ),
    )
    .sort();
}

describe('examples/', () => {
  it('is without a warning', () => {
    expect(sink.warnings).toEqual([]);
  });

  it('describes two nodes', () => {
    const nodes = ['node1', 'node2'].map((name) => sink.state.get(`Node ${name}`) as NodeObject);
    expect(nodes.map((node) => node.internalIPs)).toEqual([
      ['172.30.0.11', 'fd00:30::11'],
      ['172.30.0.12', 'fd00:30::12'],
    ]);
    expect(nodes.map((node) => node.labels['topology.kubernetes.io/zone'])).toEqual(['zone-a', 'zone-b']);
  });

  it.each([
    ['abcdocker/mallh5-service', 'NodePort', '3017:31122->5003/TCP'],
    ['default/myserver', 'ClusterIP', '80:0->nginxweb/TCP'],
    ['myserver-nodeport/myserver', 'NodePort', '80:30001->80/TCP'],
    ['default/coffee', 'NodePort', '80:30391->9090/TCP'],
    ['default/nginx', 'ClusterIP', '80:0->80/TCP'],
    ['default/my-service', 'ClusterIP', '80:0->9376/TCP 443:0->9377/TCP'],
    ['outside/my-service', 'ClusterIP', '80:0->9376/TCP'],
    ['prod/my-service', 'ExternalName', ''],
    ['prod/nginx', 'ClusterIP', '80:0->80/TCP'],
    ['node-local/my-service', 'ClusterIP', '80:0->9376/TCP'],
    ['load-balancer/my-service', 'LoadBalancer', '80:30909->9376/TCP'],
    ['default/my-nginx', 'NodePort', '80:30007->80/TCP'],
    ['default/sticky', 'NodePort', '80:30011->8080/TCP'],
    ['default/source-ip-app', 'NodePort', '80:30012->8080/TCP'],
    ['kube-system/kube-dns', 'ClusterIP', '53:0->53/UDP 53:0->53/TCP'],
    ['default/sctp-service', 'ClusterIP', '9002:0->9003/SCTP'],
  ])('has %s as %s %s', (key, type, ports) => {
    const found = service(key);
    expect(found.type).toBe(type);
    expect(found.ports.map((p) => `${p.port}:${p.nodePort}->${p.targetPort}/${p.protocol}`).join(' ')).toBe(
      ports,
    );
  });

  it('gives no endpoints to what DNS serves, and no cluster IP', () => {
    expect(endpoints('prod/my-service')).toEqual([]);
    expect(endpoints('prod/nginx')).toEqual([]);
    expect(service('prod/nginx')).toMatchObject({ headless: true, clusterIPs: [] });
  });

  it('resolves the named target port in both families', () => {
    expect(endpoints('default/myserver')).toEqual([
      '/TCP 10.244.1.12 80 node1',
      '/TCP 10.244.2.12 80 node2',
      '/TCP fd00:244:1::12 80 node1',
      '/TCP fd00:244:2::12 80 node2',
    ]);
  });

  it('mirrors the hand-made Endpoints', () => {
    expect(endpoints('outside/my-service')).toEqual(['/TCP 172.30.0.100 9376 undefined']);
  });

  it('keeps the policies and the affinity', () => {
    expect(service('node-local/my-service').internalTrafficPolicy).toBe('Local');
    expect(service('default/source-ip-app').externalTrafficPolicy).toBe('Local');
    expect(service('default/sticky').sessionAffinity).toEqual({ mode: 'ClientIP', timeoutSeconds: 10 });
  });

  it('has the provisioned load balancer', () => {
    const balanced = service('load-balancer/my-service');
    expect(balanced.clusterIPs[0]).toBe('10.0.171.239');
    expect(balanced.loadBalancerIngress[0]).toEqual({ ip: '192.0.2.127' });
  });

  it('has the four topology cases', () => {
    const keys = ['only-this-node', 'prefer-this-node', 'only-this-zone-or-region', 'node-zone-region-any'];
    expect(keys.map((name) => service(`topology/${name}`).annotations['shunt.dev/topology-keys'])).toEqual([
      'kubernetes.io/hostname',
      'kubernetes.io/hostname,*',
      'topology.kubernetes.io/zone,topology.kubernetes.io/region',
      'kubernetes.io/hostname,topology.kubernetes.io/zone,topology.kubernetes.io/region,*',
    ]);
  });

  it('gives every Service with a data path endpoints on the nodes', () => {
    for (const [id, object] of sink.state) {
      if (!id.startsWith('Service ')) continue;
      const { headless, type } = object as ServiceObject;
      if (!headless && type !== 'ExternalName') expect(endpoints(id.slice(8)), id).not.toEqual([]);
    }
  });
});
