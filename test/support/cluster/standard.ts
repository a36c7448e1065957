/** The Service that most end-to-end tests use, in every shape. */
import { type Box, endpoint } from '../../../box/index.js';
import { type KubeObject, serviceObject, sliceObject } from './objects.js';

export const TCP_PORT = 80;
export const UDP_PORT = 53;

export interface StandardOptions {
  name: string;
  /** Last part of its cluster IPs: 10.96.1.N and fd00:96::1:N. */
  number: number;
  /** Pods behind it, by name. */
  pods: string[];
  nodePorts?: { tcp: number; udp: number };
  externalTrafficPolicy?: 'Cluster' | 'Local';
  internalTrafficPolicy?: 'Cluster' | 'Local';
  affinitySeconds?: number;
  annotations?: Record<string, string>;
  /** VIP-mode addresses of a load balancer, either family. */
  loadBalancerIPs?: string[];
  externalIPs?: string[];
}

export interface StandardService {
  objects: KubeObject[];
  clusterIp4: string;
  clusterIp6: string;
  /** "address:port" of the cluster IP. */
  tcp: { 4: string; 6: string };
  udp: { 4: string; 6: string };
}

/** TCP 80 -> 8080 and UDP 53 -> 9000, both families, backends on pods of the box. */
export function standardService(box: Box, o: StandardOptions): StandardService {
  const clusterIp4 = `10.96.1.${o.number}`;
  const clusterIp6 = `fd00:96::1:${o.number}`;
  const ports = [
    {
      name: 'http',
      protocol: 'TCP' as const,
      port: TCP_PORT,
      targetPort: 8080,
      ...nodePort(o.nodePorts?.tcp),
    },
    {
      name: 'dns',
      protocol: 'UDP' as const,
      port: UDP_PORT,
      targetPort: 9000,
      ...nodePort(o.nodePorts?.udp),
    },
  ];
  const targets = [
    { name: 'http', protocol: 'TCP', port: 8080 },
    { name: 'dns', protocol: 'UDP', port: 9000 },
  ];
  const pods = o.pods.map((name) => box.pod(name));
  return {
    objects: [
      serviceObject({
        name: o.name,
        type: o.loadBalancerIPs ? 'LoadBalancer' : o.nodePorts ? 'NodePort' : 'ClusterIP',
        clusterIPs: [clusterIp4, clusterIp6],
        ports,
        ...(o.externalTrafficPolicy ? { externalTrafficPolicy: o.externalTrafficPolicy } : {}),
        ...(o.internalTrafficPolicy ? { internalTrafficPolicy: o.internalTrafficPolicy } : {}),
        ...(o.affinitySeconds ? { affinitySeconds: o.affinitySeconds } : {}),
        ...(o.annotations ? { annotations: o.annotations } : {}),
        ...(o.loadBalancerIPs ? { loadBalancerIPs: o.loadBalancerIPs } : {}),
        ...(o.externalIPs ? { externalIPs: o.externalIPs } : {}),
      }),
      sliceObject(
        o.name,
        pods.map((pod) => ({ ip: pod.ipv4, node: pod.node })),
        targets,
        { family: 4 },
      ),
      sliceObject(
        o.name,
        pods.map((pod) => ({ ip: pod.ipv6, node: pod.node })),
        targets,
        { family: 6 },
      ),
    ],
    clusterIp4,
    clusterIp6,
    tcp: { 4: endpoint(clusterIp4, TCP_PORT), 6: endpoint(clusterIp6, TCP_PORT) },
    udp: { 4: endpoint(clusterIp4, UDP_PORT), 6: endpoint(clusterIp6, UDP_PORT) },
  };
}

function nodePort(port: number | undefined): { nodePort?: number } {
  return port === undefined ? {} : { nodePort: port };
}

export const FAMILIES = [4, 6] as const;
export type Family = (typeof FAMILIES)[number];

export function addressOf(place: { ipv4: string; ipv6: string }, family: Family): string {
  return family === 4 ? place.ipv4 : place.ipv6;
}

/** Shares of the answers, per cent, sorted by server. */
export function shares(byServer: Record<string, number>): Record<string, number> {
  const total = Object.values(byServer).reduce((a, b) => a + b, 0);
  return Object.fromEntries(Object.entries(byServer).map(([name, n]) => [name, (100 * n) / total]));
}
