/** The services of the end-to-end bench, once as Kubernetes objects and once as what rules need. */
import { type Box, type BoxPod, endpoint } from '../../box/index.js';

export interface BenchEndpoint {
  ip: string;
  port: number;
  node: string;
}

/** One service port of one family. */
export interface BenchService {
  name: string;
  family: 4 | 6;
  protocol: 'TCP' | 'UDP';
  clusterIp: string;
  port: number;
  nodePort?: number;
  endpoints: BenchEndpoint[];
}

export type Target = 'same' | 'other';

export const PORTS = {
  TCP: { service: 80, pod: 8080, nodePort: { same: 30_080, other: 30_081 } },
  UDP: { service: 53, pod: 9000, nodePort: { same: 30_053, other: 30_054 } },
} as const;

/** Pods behind the two services that are measured: one on the client's node, one on the other. */
const PODS: Record<Target, string> = { same: 'a2', other: 'b1' };

export function podBehind(box: Box, target: Target): BoxPod {
  return box.pod(PODS[target]);
}

function clusterIp(family: 4 | 6, number: number): string {
  const [high, low] = [number >> 8, number & 255];
  return family === 4 ? `10.96.${high}.${low}` : `fd00:96::1:${number.toString(16)}`;
}

const addressOf = (pod: BoxPod, family: 4 | 6) => (family === 4 ? pod.ipv4 : pod.ipv6);

/** Cluster IPs 1 and 2. */
export function measuredServices(box: Box, families: readonly (4 | 6)[]): BenchService[] {
  return families.flatMap((family) =>
    (['same', 'other'] as const).flatMap((target, i) =>
      (['TCP', 'UDP'] as const).map((protocol) => {
        const pod = podBehind(box, target);
        const { service, nodePort, pod: port } = PORTS[protocol];
        return {
          name: `${target}-${protocol.toLowerCase()}-${family}`,
          family,
          protocol,
          clusterIp: clusterIp(family, i + 1),
          port: service,
          nodePort: nodePort[target],
          endpoints: [{ ip: addressOf(pod, family), port, node: pod.node }],
        };
      }),
    ),
  );
}

/** Services that nobody talks to, with three endpoints each that do not exist. Cluster IPs 256 and up. */
export function otherServices(count: number, families: readonly (4 | 6)[]): BenchService[] {
  return families.flatMap((family) =>
    Array.from({ length: count }, (_, n) => ({
      name: `filler-${n}-${family}`,
      family,
      protocol: 'TCP' as const,
      clusterIp: clusterIp(family, 256 + n),
      port: 80,
      endpoints: [1, 2, 3].map((i) => ({
        ip: family === 4 ? `10.244.${9 + i}.${(n % 250) + 1}` : `fd00:244:${9 + i}::${(n + 1).toString(16)}`,
        port: 1024 + (n % 60_000),
        node: 'node2',
      })),
    })),
  );
}

/** "address:port" of the cluster IP. */
export function clusterEndpoint(family: 4 | 6, target: Target, protocol: 'TCP' | 'UDP'): string {
  return endpoint(clusterIp(family, target === 'same' ? 1 : 2), PORTS[protocol].service);
}

interface KubeObject {
  apiVersion: string;
  kind: string;
  [field: string]: unknown;
}

/** As one List: what the manifests directory of an agent holds. */
export function renderManifest(box: Box, services: readonly BenchService[]): string {
  const items = [...nodeObjects(box), ...services.flatMap((s) => [serviceObject(s), sliceObject(s)])];
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

function nodeObjects(box: Box): KubeObject[] {
  return [...box.nodes.values()].map((node) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name },
    spec: { podCIDRs: [node.plan.podCidr4, node.plan.podCidr6] },
    status: { addresses: [node.ipv4, node.ipv6].map((address) => ({ type: 'InternalIP', address })) },
  }));
}

function serviceObject(s: BenchService): KubeObject {
  const port = { protocol: s.protocol, port: s.port, targetPort: s.endpoints[0]?.port };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: s.name, namespace: 'bench' },
    spec: {
      type: s.nodePort === undefined ? 'ClusterIP' : 'NodePort',
      clusterIP: s.clusterIp,
      clusterIPs: [s.clusterIp],
      ipFamilies: [s.family === 4 ? 'IPv4' : 'IPv6'],
      ports: [s.nodePort === undefined ? port : { ...port, nodePort: s.nodePort }],
      internalTrafficPolicy: 'Cluster',
      ...(s.nodePort === undefined ? {} : { externalTrafficPolicy: 'Cluster' }),
    },
    status: { loadBalancer: {} },
  };
}

function sliceObject(s: BenchService): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${s.name}-slice`,
      namespace: 'bench',
      labels: { 'kubernetes.io/service-name': s.name },
    },
    addressType: s.family === 4 ? 'IPv4' : 'IPv6',
    ports: [{ name: '', protocol: s.protocol, port: s.endpoints[0]?.port }],
    endpoints: s.endpoints.map((e) => ({
      addresses: [e.ip],
      conditions: { ready: true },
      nodeName: e.node,
    })),
  };
}
