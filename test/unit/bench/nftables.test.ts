import { describe, expect, it } from 'vitest';
import { renderRules } from '../../../bench/end-to-end/nftables.js';
import type { BenchService } from '../../../bench/end-to-end/services.js';

const service: BenchService = {
  name: 'web',
  family: 4,
  protocol: 'TCP',
  clusterIp: '10.96.0.1',
  port: 80,
  nodePort: 30080,
  endpoints: [
    { ip: '10.244.1.10', port: 8080, node: 'node1' },
    { ip: '10.244.2.10', port: 8080, node: 'node2' },
  ],
};

describe('rules of the shape of kube-proxy in nftables mode', () => {
  const rules = (family: 4 | 6) =>
    renderRules({ family, services: [service], nodeIps: ['172.30.0.11'], clusterCidr: '10.244.0.0/16' });

  it('go from the address of the service by map to its chain, by chance to an endpoint, which translates', () => {
    const lines = rules(4)
      .split('\n')
      .map((line) => line.trim());
    expect(lines).toContain('elements = { 10.96.0.1 . tcp . 80 : goto service-web }');
    expect(lines).toContain('numgen random mod 2 vmap { 0 : goto endpoint-web-0, 1 : goto endpoint-web-1 }');
    expect(lines).toContain('meta l4proto tcp dnat to 10.244.2.10:8080');
  });

  it('mark what comes by a NodePort for masquerading, and hairpins', () => {
    const text = rules(4);
    expect(text).toMatch(/tcp \. 30080 : goto external-web/);
    expect(text).toMatch(/chain external-web \{\s+jump mark-for-masquerade\s+goto service-web/);
    expect(text).toContain('ip saddr 10.244.1.10 jump mark-for-masquerade');
  });

  it('hold services of their own family only', () => {
    expect(rules(6)).not.toContain('web');
  });
});
