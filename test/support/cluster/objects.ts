/** Kubernetes objects for tests: short to write, whole enough for an API server. */

export interface ServiceSpec {
  name: string;
  namespace?: string;
  type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer';
  clusterIPs: string[];
  ports: {
    name?: string;
    protocol?: 'TCP' | 'UDP' | 'SCTP';
    port: number;
    targetPort?: number;
    nodePort?: number;
  }[];
  externalTrafficPolicy?: 'Cluster' | 'Local';
  internalTrafficPolicy?: 'Cluster' | 'Local';
  /** Seconds of ClientIP affinity. */
  affinitySeconds?: number;
  externalIPs?: string[];
  loadBalancerIPs?: string[];
  sourceRanges?: string[];
  annotations?: Record<string, string>;
  labels?: Record<string, string>;
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; [field: string]: unknown };
  [field: string]: unknown;
}

export function serviceObject(s: ServiceSpec): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: s.name,
      namespace: s.namespace ?? 'default',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: s.labels ?? {},
      annotations: s.annotations ?? {},
    },
    spec: {
      type: s.type ?? 'ClusterIP',
      clusterIP: s.clusterIPs[0],
      clusterIPs: s.clusterIPs,
      ipFamilies: s.clusterIPs.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4')),
      ports: s.ports.map((p) => ({ protocol: 'TCP', ...p })),
      internalTrafficPolicy: s.internalTrafficPolicy ?? 'Cluster',
      ...(s.type && s.type !== 'ClusterIP'
        ? { externalTrafficPolicy: s.externalTrafficPolicy ?? 'Cluster' }
        : {}),
      ...(s.affinitySeconds
        ? {
            sessionAffinity: 'ClientIP',
            sessionAffinityConfig: { clientIP: { timeoutSeconds: s.affinitySeconds } },
          }
        : {}),
      ...(s.externalIPs ? { externalIPs: s.externalIPs } : {}),
      ...(s.sourceRanges ? { loadBalancerSourceRanges: s.sourceRanges } : {}),
    },
    status: { loadBalancer: { ingress: (s.loadBalancerIPs ?? []).map((ip) => ({ ip })) } },
  };
}

export interface EndpointSpec {
  ip: string;
  node?: string;
  ready?: boolean;
  serving?: boolean;
  terminating?: boolean;
  zone?: string;
}

/** One slice; its family is that of the first address (an empty slice is IPv4 unless said). */
export function sliceObject(
  service: string,
  endpoints: EndpointSpec[],
  ports: { name?: string; protocol?: string; port: number }[],
  o: { namespace?: string; name?: string; family?: 4 | 6 } = {},
): KubeObject {
  const isSix = o.family ? o.family === 6 : (endpoints[0]?.ip.includes(':') ?? false);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: o.name ?? `${service}-${isSix ? 'v6' : 'v4'}`,
      namespace: o.namespace ?? 'default',
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType: isSix ? 'IPv6' : 'IPv4',
    ports: ports.map((p) => ({ name: p.name ?? '', protocol: p.protocol ?? 'TCP', port: p.port })),
    endpoints: endpoints.map((e) => ({
      addresses: [e.ip],
      conditions: {
        ready: e.ready ?? true,
        ...(e.serving === undefined ? {} : { serving: e.serving }),
        ...(e.terminating === undefined ? {} : { terminating: e.terminating }),
      },
      ...(e.node ? { nodeName: e.node } : {}),
      ...(e.zone ? { zone: e.zone } : {}),
    })),
  };
}

export function nodeObject(
  name: string,
  internalIPs: string[],
  o: { zone?: string; podCIDRs?: string[]; labels?: Record<string, string> } = {},
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        ...(o.zone ? { 'topology.kubernetes.io/zone': o.zone } : {}),
        ...o.labels,
      },
    },
    spec: { podCIDRs: o.podCIDRs ?? [] },
    status: {
      addresses: [
        ...internalIPs.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: name },
      ],
    },
  };
}
