// What the data path should do on this node, one value per service port and family. Plain data with a stable
// order, so that two of them can be compared and printed whole.

import type { Protocol, SessionAffinity, TrafficPolicy, Warning } from './objects.js';

export type { Warning } from './objects.js';

export type Algorithm = 'random' | 'maglev';
export type FrontendType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalIP';

export interface DesiredBackend {
  /** Canonical text of the service's family. */
  ip: string;
  port: number;
  nodeName?: string;
  zone?: string;
  /** The conditions with their defaults filled in. */
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  /** nodeName is this node. */
  onNode: boolean;
  /** Member of the scope of that name: usable for its traffic. All three false: known, not usable. */
  inInternal: boolean;
  inCluster: boolean;
  inLocal: boolean;
}

export interface DesiredScope {
  /** Indices into DesiredService.backends, ascending. */
  backends: number[];
  /** What new traffic gets when `backends` is empty. */
  whenEmpty: 'reject' | 'drop';
}

export interface DesiredFrontend {
  type: FrontendType;
  /** Canonical text, or '*' for a NodePort: every address of this node in the service's family that takes them. */
  ip: string;
  port: number;
  /** Canonical CIDRs of the frontend's family, sorted. Absent: open to all. Empty: closed to all. */
  sourceRanges?: string[];
  /** Present with sourceRanges: one of them covers an address of this node, so the node itself may pass. */
  nodeAllowed?: boolean;
}

/**
 * Clients of a ClusterIP frontend use `internal`. Of the other frontends, pods and this node use `cluster`; anyone
 * else uses `cluster` with externalTrafficPolicy Cluster and `local` with Local.
 */
export interface DesiredService {
  /** namespace/name:portName/TCP/IPv4; the same for the life of the service port. */
  id: string;
  namespace: string;
  name: string;
  portName: string;
  protocol: Protocol;
  family: 4 | 6;
  affinity: SessionAffinity;
  algorithm: Algorithm;
  externalTrafficPolicy: TrafficPolicy;
  internalTrafficPolicy: TrafficPolicy;
  /** Never empty; by type (ClusterIP, LoadBalancer, ExternalIP, NodePort), then as the Service lists them. */
  frontends: DesiredFrontend[];
  /** Every endpoint of the port, usable or not, by address (numerically) then port; unique. */
  backends: DesiredBackend[];
  internal: DesiredScope;
  cluster: DesiredScope;
  local: DesiredScope;
}

/** What the health check port of a LoadBalancer Service with externalTrafficPolicy Local has to answer. */
export interface HealthCheck {
  namespace: string;
  name: string;
  port: number;
  /**
   * Distinct addresses of ready endpoints on this node over all ports: the count of the family that has more, so
   * that a dual-stack pod counts once.
   */
  localEndpoints: number;
  /** The same by family; a family that the Service does not have is absent. */
  localEndpointsByFamily: { 4?: number; 6?: number };
}

export interface HealthCheckDelta {
  upserts: HealthCheck[];
  /** namespace/name */
  removals: string[];
}

/** What of the cluster IPs that no Service of ours has. */
export interface ClusterRanges {
  /** Ranges in which an address that no Service has is dropped; canonical, sorted. */
  service: readonly string[];
  /** Cluster IPs in them that another proxy serves; sorted. */
  foreign: readonly string[];
}

export interface DesiredDelta {
  /** New or changed, whole; sorted by id. */
  upserts: DesiredService[];
  /** Ids that are no more; sorted. */
  removals: string[];
  /** Warnings that were not already standing. */
  warnings: Warning[];
  /** Present when a health check appeared, changed or went. */
  healthChecks?: HealthCheckDelta;
  /** Present when they are other ones now, whole. */
  clusterRanges?: ClusterRanges;
}

export function serviceId(
  namespace: string,
  name: string,
  portName: string,
  protocol: Protocol,
  family: 4 | 6,
): string {
  return `${namespace}/${name}:${portName}/${protocol}/IPv${family}`;
}
