// One Service and its slices -> what this node should do for it. Pure.

import type { Address, Family } from './addresses.js';
import {
  type DesiredBackend,
  type DesiredFrontend,
  type DesiredService,
  type HealthCheck,
  serviceId,
} from './desired.js';
import { type Endpoint, mergeEndpoints, type ParsedSlice } from './endpoints.js';
import { CLUSTER_RANK, type Claim, describeClaim } from './frontends.js';
import type { Warning } from './objects.js';
import { selectEndpoints } from './select.js';
import type { ServiceShape, ShapePort } from './services.js';
import { guardOf } from './sourceRanges.js';
import type { LabelsOf } from './topology.js';

/** What a Service's outcome depends on besides itself and its slices. */
export interface ComputeContext {
  readonly nodeName: string;
  readonly labelsOf: LabelsOf;
  readonly isClusterIp: (ip: string) => boolean;
  readonly ownerOf: (claimKey: string) => string | undefined;
  readonly nodeAddresses: readonly Address[];
  readonly sourceRangesOnNodePorts: boolean;
}

export interface Computed {
  services: DesiredService[];
  healthCheck: HealthCheck | undefined;
  warnings: Warning[];
}

export function computeService(
  shape: ServiceShape,
  claims: readonly Claim[],
  slices: readonly ParsedSlice[],
  context: ComputeContext,
): Computed {
  const services: DesiredService[] = [];
  const warnings: Warning[] = slices.flatMap((slice) => slice.warnings);
  const localReady: Record<Family, Set<string>> = { 4: new Set(), 6: new Set() };
  for (const port of shape.ports) {
    for (const family of shape.families) {
      const own = claims.filter((claim) => claim.port === port && claim.family === family);
      const frontends = grantFrontends(shape, own, context, warnings);
      const merged = mergeEndpoints(
        slices,
        { name: port.name, protocol: port.protocol, family },
        context.isClusterIp,
      );
      warnings.push(...merged.warnings);
      for (const { ready, nodeName, ip } of merged.endpoints) {
        if (ready && nodeName === context.nodeName) localReady[family].add(ip);
      }
      if (frontends.length === 0) continue;
      services.push(computePort(shape, port, family, frontends, merged.endpoints, context));
    }
  }
  return { services, healthCheck: computeHealthCheck(shape, localReady), warnings };
}

/** The claims that the Service keeps; the others are reported. */
function grantFrontends(
  shape: ServiceShape,
  claims: readonly Claim[],
  context: ComputeContext,
  warnings: Warning[],
): DesiredFrontend[] {
  const frontends: DesiredFrontend[] = [];
  for (const claim of claims) {
    const owner = context.ownerOf(claim.key);
    if (owner !== undefined && owner !== shape.key) {
      const what =
        claim.rank === CLUSTER_RANK ? 'cluster IPs are given out once' : 'use another address or port';
      const message = `${describeClaim(claim)} is kept by Service ${owner}, which comes first; ${what}`;
      warnings.push({ object: `Service ${shape.key}`, field: claim.field, message });
      continue;
    }
    const { type } = claim.frontend;
    const guarded = type === 'LoadBalancer' || (type === 'NodePort' && context.sourceRangesOnNodePorts);
    const guard = guarded ? guardOf(shape.sourceRanges, claim.family, context.nodeAddresses) : {};
    frontends.push({ ...claim.frontend, ...guard });
  }
  return frontends;
}

function computePort(
  shape: ServiceShape,
  port: ShapePort,
  family: Family,
  frontends: DesiredFrontend[],
  endpoints: readonly Endpoint[],
  context: ComputeContext,
): DesiredService {
  const { internal, cluster, local } = selectEndpoints({
    endpoints,
    internalTrafficPolicy: shape.internalTrafficPolicy,
    nodeName: context.nodeName,
    labelsOf: context.labelsOf,
    topologyKeys: shape.topologyKeys,
  });
  const members = [internal, cluster, local].map((scope) => new Set(scope.backends));
  const backends = endpoints.map((endpoint, index): DesiredBackend => {
    const [inInternal = false, inCluster = false, inLocal = false] = members.map((set) => set.has(index));
    return {
      ip: endpoint.ip,
      port: endpoint.port,
      ...(endpoint.nodeName === undefined ? {} : { nodeName: endpoint.nodeName }),
      ...(endpoint.zone === undefined ? {} : { zone: endpoint.zone }),
      ready: endpoint.ready,
      serving: endpoint.serving,
      terminating: endpoint.terminating,
      onNode: endpoint.nodeName === context.nodeName,
      inInternal,
      inCluster,
      inLocal,
    };
  });
  return {
    id: serviceId(shape.namespace, shape.name, port.name, port.protocol, family),
    namespace: shape.namespace,
    name: shape.name,
    portName: port.name,
    protocol: port.protocol,
    family,
    affinity: shape.affinity,
    algorithm: shape.algorithm,
    externalTrafficPolicy: shape.externalTrafficPolicy,
    internalTrafficPolicy: shape.internalTrafficPolicy,
    frontends,
    backends,
    internal,
    cluster,
    local,
  };
}

function computeHealthCheck(
  shape: ServiceShape,
  localReady: Record<Family, ReadonlySet<string>>,
): HealthCheck | undefined {
  if (shape.healthCheckNodePort === 0) return undefined;
  const localEndpointsByFamily: HealthCheck['localEndpointsByFamily'] = {};
  for (const family of shape.families) localEndpointsByFamily[family] = localReady[family].size;
  return {
    namespace: shape.namespace,
    name: shape.name,
    port: shape.healthCheckNodePort,
    localEndpoints: Math.max(0, ...Object.values(localEndpointsByFamily)),
    localEndpointsByFamily,
  };
}
