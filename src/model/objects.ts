// What a source (the Kubernetes API or a directory of manifests) hands to the model. Every field is a
// plain value, defaults filled in as the API server would; no Kubernetes client type gets past src/kube.
//
// Addresses are text: dotted IPv4, or lower-case compressed IPv6 as RFC 5952 writes it.

export type Protocol = 'TCP' | 'UDP' | 'SCTP';
export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
export type TrafficPolicy = 'Cluster' | 'Local';
export type SessionAffinity = { mode: 'None' } | { mode: 'ClientIP'; timeoutSeconds: number };

export interface ServicePortObject {
  /** '' when unnamed (allowed for the only port of a Service). */
  name: string;
  protocol: Protocol;
  port: number;
  /** 0: none. */
  nodePort: number;
  /** What the Service asks for; the number in the EndpointSlice wins over it. */
  targetPort?: number | string;
}

export interface LoadBalancerIngress {
  ip?: string;
  hostname?: string;
  ipMode?: 'VIP' | 'Proxy';
}

export interface ServiceObject {
  namespace: string;
  name: string;
  uid?: string;
  /** Milliseconds since 1970; 0 when unknown. */
  creationTimestampMs: number;
  type: ServiceType;
  /** Without 'None' and ''. */
  clusterIPs: string[];
  /** `clusterIP: None`, or no cluster IP at all. */
  headless: boolean;
  ports: ServicePortObject[];
  externalTrafficPolicy: TrafficPolicy;
  internalTrafficPolicy: TrafficPolicy;
  sessionAffinity: SessionAffinity;
  externalIPs: string[];
  loadBalancerIngress: LoadBalancerIngress[];
  /** As written; entries that are no CIDR are for the model to report. */
  loadBalancerSourceRanges: string[];
  /** 0: none. */
  healthCheckNodePort: number;
  publishNotReadyAddresses: boolean;
  /** Value of label service.kubernetes.io/service-proxy-name when present, '' included. */
  proxyName?: string;
  /** Only keys with the prefix shunt.dev/. */
  annotations: Record<string, string>;
  selector?: Record<string, string>;
}

export interface EndpointObject {
  /** Only the first one counts. */
  addresses: string[];
  /** Absent: the condition is null; SEMANTICS section 3 says what that means. */
  ready?: boolean;
  serving?: boolean;
  terminating?: boolean;
  nodeName?: string;
  zone?: string;
  /** Absent when the endpoint carries no hint of that kind; never empty. */
  hintZones?: string[];
  hintNodes?: string[];
}

export interface EndpointPortObject {
  name: string;
  protocol: Protocol;
  /** null: no port, hence no backend. */
  port: number | null;
}

export interface EndpointSliceObject {
  namespace: string;
  name: string;
  /** Label kubernetes.io/service-name; absent: the slice belongs to no Service. */
  serviceName?: string;
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  /** Label service.kubernetes.io/headless is present. */
  headless: boolean;
  ports: EndpointPortObject[];
  endpoints: EndpointObject[];
  /** When the change that led to this version happened, in milliseconds since 1970. */
  lastChangeTriggerTimeMs?: number;
}

export interface NodeTaint {
  key: string;
  effect: string;
}

export interface NodeObject {
  name: string;
  labels: Record<string, string>;
  internalIPs: string[];
  podCIDRs: string[];
  taints: NodeTaint[];
  deleting: boolean;
}

/** networking.k8s.io/v1 ServiceCIDR: ranges that cluster IPs are allocated from. */
export interface ServiceCidrObject {
  name: string;
  /** As written; at most one per family. Those of an object that is being deleted count until it is gone. */
  cidrs: string[];
}

interface ChangeOf<Kind extends string, T> {
  kind: Kind;
  /** namespace/name, or the name alone for a Node or a ServiceCIDR. */
  key: string;
  /** undefined: deleted. */
  object: T | undefined;
}

export type ServiceChange = ChangeOf<'Service', ServiceObject>;
export type EndpointSliceChange = ChangeOf<'EndpointSlice', EndpointSliceObject>;
export type NodeChange = ChangeOf<'Node', NodeObject>;
export type ServiceCidrChange = ChangeOf<'ServiceCIDR', ServiceCidrObject>;
export type Change = ServiceChange | EndpointSliceChange | NodeChange | ServiceCidrChange;

/** Something wrong with the input that the operator should know; the rest of the input is unaffected. */
export interface Warning {
  /** 'Service default/web', 'file 01-web.yaml', ... */
  object: string;
  /** Path of the offending field, e.g. spec.ports[0].port; '' when it is about the whole object. */
  field: string;
  /** What is wrong and what to do about it. */
  message: string;
}
