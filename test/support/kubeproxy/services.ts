/** Services as a generator of kube-proxy's rules wants them. */
import { createHash } from 'node:crypto';

export interface ProxiedPort {
  /** namespace/name:port */
  name: string;
  family: 4 | 6;
  protocol: 'tcp' | 'udp';
  clusterIp: string;
  port: number;
  nodePort?: number;
  endpoints: { ip: string; port: number }[];
}

export interface ProxyConfig {
  /** Of the pods, by family. */
  clusterCidr: { 4: string; 6: string };
  /** Ports that KUBE-NODEPORTS opens for health checks. */
  healthCheckPorts?: number[];
}

/** Sixteen letters, as kube-proxy makes them. */
export function hashOf(...parts: string[]): string {
  const digest = createHash('sha256').update(parts.join('')).digest();
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return Array.from({ length: 16 }, (_, i) => letters[(digest[i] as number) % 32]).join('');
}

export function isSix(ip: string): boolean {
  return ip.includes(':');
}

export function hostPort(ip: string, port: number): string {
  return isSix(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Services that nobody uses, to make a rule set as long as those of real clusters; three endpoints each. */
export function fillerServices(count: number, family: 4 | 6): ProxiedPort[] {
  return Array.from({ length: count }, (_, i) => {
    const [high, low] = [(i >> 8) & 255, i & 255];
    const hex = i.toString(16);
    return {
      name: `filler/service-${i}:http`,
      family,
      protocol: 'tcp' as const,
      clusterIp: family === 4 ? `10.${100 + (i >> 16)}.${high}.${low}` : `fd00:100::${hex}`,
      port: 80,
      endpoints: [1, 2, 3].map((n) => ({
        ip: family === 4 ? `10.24${4 + n}.${high}.${low}` : `fd00:244:${n + 10}::${hex}`,
        port: 8080,
      })),
    };
  });
}
