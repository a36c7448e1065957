// Where a Service listens. SEMANTICS section 2.

import { type Address, type Cidr, type Family, kindOf } from './addresses.js';
import { type CidrSet, isInAny } from './cidrSet.js';
import type { DesiredFrontend } from './desired.js';
import type { Warning } from './objects.js';
import type { ServiceShape, ShapePort } from './services.js';

/** Of two claims to one address, port and protocol the lower rank wins, whatever the age. */
export type ClaimRank = 0 | 1;
export const CLUSTER_RANK: ClaimRank = 0;
export const EXTERNAL_RANK: ClaimRank = 1;

/** A frontend that a Service asks for; it gets it if no other Service has the better claim. */
export interface Claim {
  /** Address, port and protocol: what only one Service can have. */
  readonly key: string;
  readonly rank: ClaimRank;
  readonly port: ShapePort;
  readonly family: Family;
  readonly frontend: Pick<DesiredFrontend, 'type' | 'ip' | 'port'>;
  /** Of the Service, for messages. */
  readonly field: string;
}

/** Why a spec.externalIPs entry is refused, to be put after the address; undefined: accepted. */
export type ExternalIpRule = (address: Address) => string | undefined;

export interface ExternalIpOptions {
  /** The configured allow-list; undefined: everything but addresses inside the cluster. */
  readonly allowed: readonly Cidr[] | undefined;
  readonly serviceCidrs: readonly Cidr[];
  readonly podCidrs: readonly Cidr[];
  /** spec.podCIDRs of all nodes. */
  readonly nodePodCidrs: CidrSet;
  readonly isClusterIp: (ip: string) => boolean;
}

/** The default keeps a Service from taking over an address that belongs to the cluster (CVE-2020-8554). */
export function refuseExternalIp(options: ExternalIpOptions, address: Address): string | undefined {
  const { allowed, serviceCidrs, podCidrs, nodePodCidrs, isClusterIp } = options;
  if (allowed !== undefined)
    return isInAny(allowed, address) ? undefined : 'is not in the allowed external IPs';
  const kind = kindOf(address);
  if (kind !== 'unicast') return `is a ${kind} address`;
  if (isClusterIp(address.text)) return 'is the cluster IP of a Service';
  if (isInAny(serviceCidrs, address)) return 'is in the cluster IP range';
  if (isInAny(podCidrs, address) || nodePodCidrs.contains(address)) return 'is in the pod range';
  return undefined;
}

/**
 * Everything that a Service asks for, family by family and port by port, unique by key. Where one address appears in
 * several roles the first of these stands: cluster IP, load-balancer IP (it may carry source ranges), external IP.
 */
export function computeClaims(
  shape: ServiceShape,
  refuse: ExternalIpRule,
): { claims: Claim[]; warnings: Warning[] } {
  const claims = new Map<string, Claim>();
  const warnings: Warning[] = [];
  const external: Address[] = [];
  for (const address of shape.externalIps) {
    const cause = refuse(address);
    if (cause === undefined) external.push(address);
    else {
      const message = `${address.text} ${cause} and is left out; use another address or allow this one`;
      warnings.push({ object: `Service ${shape.key}`, field: 'spec.externalIPs', message });
    }
  }
  const sources = [
    { type: 'ClusterIP', ips: shape.clusterIps, rank: CLUSTER_RANK, field: 'spec.clusterIPs' },
    {
      type: 'LoadBalancer',
      ips: shape.ingressIps,
      rank: EXTERNAL_RANK,
      field: 'status.loadBalancer.ingress',
    },
    { type: 'ExternalIP', ips: external, rank: EXTERNAL_RANK, field: 'spec.externalIPs' },
  ] as const;
  for (const family of shape.families) {
    for (const port of shape.ports) {
      const claim = (key: string, rest: Pick<Claim, 'rank' | 'frontend' | 'field'>): void => {
        if (!claims.has(key)) claims.set(key, { key, port, family, ...rest });
      };
      for (const { type, ips, rank, field } of sources) {
        for (const { text: ip } of ips.filter((address) => address.family === family)) {
          claim(claimKey(ip, port.port, port), { rank, frontend: { type, ip, port: port.port }, field });
        }
      }
      if (port.nodePort === 0) continue;
      claim(claimKey(`*${family}`, port.nodePort, port), {
        rank: EXTERNAL_RANK,
        frontend: { type: 'NodePort', ip: '*', port: port.nodePort },
        field: `spec.ports[${port.index}].nodePort`,
      });
    }
  }
  return { claims: [...claims.values()], warnings };
}

function claimKey(ip: string, number: number, { protocol }: ShapePort): string {
  return `${ip}|${number}|${protocol}`;
}

/** 192.0.2.1:80/TCP, [2001:db8::1]:80/TCP, or nodePort 30080/TCP. */
export function describeClaim({ frontend, port, family }: Claim): string {
  if (frontend.type === 'NodePort') return `node port ${frontend.port}/${port.protocol}`;
  const host = family === 6 ? `[${frontend.ip}]` : frontend.ip;
  return `${host}:${frontend.port}/${port.protocol}`;
}
