/** A table in the shape that kube-proxy's nftables mode writes, as input of nft -f. */
import { hashOf, type ProxiedPort, type ProxyConfig } from './services.js';

export function nftablesRules(ports: readonly ProxiedPort[], config: ProxyConfig, family: 4 | 6): string {
  const own = ports.filter((port) => port.family === family);
  const ip = family === 4 ? 'ip' : 'ip6';
  const served = own.filter((port) => port.endpoints.length > 0);
  const nodePorts = served.filter((port) => port.nodePort !== undefined);
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const elements = (lines: string[]) => (lines.length === 0 ? '' : `elements = {\n${lines.join(',\n')}\n}`);
  const loopback = family === 4 ? '127.0.0.0/8' : '::1';
  return `table ${ip} kube-proxy {
comment "rules for kube-proxy"
set cluster-ips {
type ${address}
${elements([...new Set(own.map((p) => p.clusterIp))])}
}
${served.map((p) => endpointChains(p, ip, config.clusterCidr[family])).join('\n')}
map no-endpoint-services {
type ${address} . inet_proto . inet_service : verdict
}
map service-ips {
type ${address} . inet_proto . inet_service : verdict
${elements(served.map((p) => `${p.clusterIp} . ${p.protocol} . ${p.port} : goto ${serviceChain(p)}`))}
}
map service-nodeports {
type inet_proto . inet_service : verdict
${elements(nodePorts.map((p) => `${p.protocol} . ${p.nodePort} : goto ${externalChain(p)}`))}
}
chain mark-for-masquerade { mark set mark or 0x4000; }
chain masquerading {
mark and 0x4000 == 0 return
mark set mark xor 0x4000
masquerade fully-random
}
chain services {
${ip} daddr . meta l4proto . th dport vmap @service-ips
fib daddr type local ${ip} daddr != ${loopback} meta l4proto . th dport vmap @service-nodeports
}
chain reject-chain { reject; }
chain filter-forward { type filter hook forward priority -101; ct state new ${ip} daddr . meta l4proto . th dport vmap @no-endpoint-services; }
chain filter-prerouting { type filter hook prerouting priority -101; }
chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
chain nat-output { type nat hook output priority -100; jump services; }
chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading; }
}
`;
}

function serviceChain(p: ProxiedPort): string {
  return `service-${hashOf(p.name, p.protocol).slice(0, 8)}-${p.name.replace(':', '/')}`;
}

function externalChain(p: ProxiedPort): string {
  return `external-${hashOf(p.name, p.protocol).slice(0, 8)}-${p.name.replace(':', '/')}`;
}

function endpointChains(p: ProxiedPort, ip: string, clusterCidr: string): string {
  const names = p.endpoints.map(
    (e) =>
      `endpoint-${hashOf(p.name, p.protocol, e.ip).slice(0, 8)}-${p.name.replace(':', '/')}__${e.ip.replaceAll(':', '.')}/${e.port}`,
  );
  const chains = p.endpoints.map((e, i) => {
    const to = e.ip.includes(':') ? `[${e.ip}]:${e.port}` : `${e.ip}:${e.port}`;
    return `chain ${names[i]} {\n${ip} saddr ${e.ip} jump mark-for-masquerade\nmeta l4proto ${p.protocol} dnat to ${to}\n}`;
  });
  const choice = names.map((name, i) => `${i} : goto ${name}`).join(', ');
  const service = `chain ${serviceChain(p)} {
${ip} daddr ${p.clusterIp} ${p.protocol} dport ${p.port} ${ip} saddr != ${clusterCidr} jump mark-for-masquerade
numgen random mod ${names.length} vmap { ${choice} }
}`;
  const external = `chain ${externalChain(p)} {\njump mark-for-masquerade\ngoto ${serviceChain(p)}\n}`;
  return [
    'chain mark-for-masquerade { }',
    ...chains,
    service,
    ...(p.nodePort === undefined ? [] : [external]),
  ].join('\n');
}
