// Short ways to write the objects that tests need most.
import type { KubeObject } from './resources.js';

/** A ClusterIP Service `default/<name>` with port 80; `spec` and `metadata` are laid over it. */
export function service(name: string, spec: object = {}, metadata: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', ...metadata },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.20',
      clusterIPs: ['10.96.0.20'],
      ports: [{ port: 80 }],
      ...spec,
    },
  };
}

/** A slice of `default/<serviceName>` with one ready endpoint per address, on port 8080. */
export function slice(
  name: string,
  serviceName: string,
  addresses: string[],
  metadata: object = {},
): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': serviceName },
      ...metadata,
    },
    addressType: addresses[0]?.includes(':') ? 'IPv6' : 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

/** cluster-wide, no status. */
export function serviceCidr(name: string, ...cidrs: string[]): KubeObject {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name }, spec: { cidrs } };
}

export function node(name: string, labels: Record<string, string> = {}, fields: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    spec: { podCIDR: '10.244.1.0/24' },
    status: { addresses: [{ type: 'InternalIP', address: '172.30.0.11' }] },
    ...fields,
  };
}
