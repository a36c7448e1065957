/**
 * Rules of the shape that kube-proxy writes in nftables mode: one map from service address to a chain for each
 * service, a random choice there among one chain for each endpoint, which translates; a mark for what
 * postrouting has to masquerade. Pure: text for `nft -f -`.
 */
import type { BenchService } from './services.js';

export interface RuleOptions {
  family: 4 | 6;
  services: readonly BenchService[];
  /** Addresses that NodePorts answer on. */
  nodeIps: readonly string[];
  /** Where pods are: sources outside of it are masqueraded on their way to a cluster IP. */
  clusterCidr: string;
}

const MARK = '0x4000';

export function renderRules(o: RuleOptions): string {
  const table = o.family === 4 ? 'ip' : 'ip6';
  const address = o.family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const services = o.services.filter((s) => s.family === o.family);
  const exposed = services.filter((s) => s.nodePort !== undefined);
  const protocol = (s: BenchService) => s.protocol.toLowerCase();
  const lines = [
    `table ${table} kube-proxy {`,
    ...set('cluster-ips', address, [...new Set(services.map((s) => s.clusterIp))]),
    ...set('nodeport-ips', address, o.nodeIps),
    ...map('no-endpoint-services', `${address} . inet_proto . inet_service`, []),
    ...map('no-endpoint-nodeports', 'inet_proto . inet_service', []),
    ...map('firewall-ips', `${address} . inet_proto . inet_service`, []),
    ...map(
      'service-ips',
      `${address} . inet_proto . inet_service`,
      services.map((s) => `${s.clusterIp} . ${protocol(s)} . ${s.port} : goto ${serviceChain(s)}`),
    ),
    ...map(
      'service-nodeports',
      'inet_proto . inet_service',
      exposed.map((s) => `${protocol(s)} . ${s.nodePort} : goto ${externalChain(s)}`),
    ),
    ...services.flatMap((s) => serviceChains(s, table, o.clusterCidr)),
    ...exposed.map((s) => chain(externalChain(s), ['jump mark-for-masquerade', `goto ${serviceChain(s)}`])),
    ...commonChains(table),
    '}',
    '',
  ];
  return lines.join('\n');
}

const serviceChain = (s: BenchService) => `service-${s.name}`;
const externalChain = (s: BenchService) => `external-${s.name}`;
const endpointChain = (s: BenchService, i: number) => `endpoint-${s.name}-${i}`;

function serviceChains(s: BenchService, table: string, clusterCidr: string): string[] {
  const protocol = s.protocol.toLowerCase();
  const choices = s.endpoints.map((_, i) => `${i} : goto ${endpointChain(s, i)}`).join(', ');
  return [
    ...s.endpoints.map((e, i) =>
      chain(endpointChain(s, i), [
        `${table} saddr ${e.ip} jump mark-for-masquerade`,
        `meta l4proto ${protocol} dnat to ${table === 'ip6' ? `[${e.ip}]` : e.ip}:${e.port}`,
      ]),
    ),
    chain(serviceChain(s), [
      `${table} daddr ${s.clusterIp} ${protocol} dport ${s.port} ${table} saddr != ${clusterCidr} jump mark-for-masquerade`,
      `numgen random mod ${s.endpoints.length} vmap { ${choices} }`,
    ]),
  ];
}

function commonChains(table: string): string[] {
  const isNew = (target: string) => `ct state new jump ${target}`;
  const key = `${table} daddr . meta l4proto . th dport`;
  const nodePortKey = `${table} daddr @nodeport-ips`;
  const hooked = (name: string, type: string, hook: string, priority: number, rules: string[]) =>
    chain(name, [`type ${type} hook ${hook} priority ${priority}; policy accept;`, ...rules]);
  return [
    chain('mark-for-masquerade', [`meta mark set meta mark or ${MARK}`]),
    chain('masquerading', [
      `meta mark and ${MARK} == 0 return`,
      `meta mark set meta mark xor ${MARK}`,
      'masquerade fully-random',
    ]),
    chain('services', [
      `${key} vmap @service-ips`,
      `${nodePortKey} meta l4proto . th dport vmap @service-nodeports`,
    ]),
    chain('firewall-check', [`${key} vmap @firewall-ips`]),
    chain('service-endpoints-check', [`${key} vmap @no-endpoint-services`]),
    chain('nodeport-endpoints-check', [`${nodePortKey} meta l4proto . th dport vmap @no-endpoint-nodeports`]),
    chain('cluster-ips-check', [`${table} daddr @cluster-ips reject`]),
    hooked('filter-prerouting-pre-dnat', 'filter', 'prerouting', -110, [isNew('firewall-check')]),
    hooked('filter-output-pre-dnat', 'filter', 'output', -110, [isNew('firewall-check')]),
    hooked('filter-input', 'filter', 'input', -110, [
      isNew('nodeport-endpoints-check'),
      isNew('service-endpoints-check'),
    ]),
    hooked('filter-forward', 'filter', 'forward', -110, [
      isNew('service-endpoints-check'),
      isNew('cluster-ips-check'),
    ]),
    hooked('filter-output', 'filter', 'output', -90, [
      isNew('service-endpoints-check'),
      isNew('cluster-ips-check'),
    ]),
    hooked('nat-prerouting', 'nat', 'prerouting', -100, ['jump services']),
    hooked('nat-output', 'nat', 'output', -100, ['jump services']),
    hooked('nat-postrouting', 'nat', 'postrouting', 100, ['jump masquerading']),
  ];
}

function chain(name: string, rules: readonly string[]): string {
  return `  chain ${name} {\n${rules.map((rule) => `    ${rule}\n`).join('')}  }`;
}

function set(name: string, type: string, elements: readonly string[]): string[] {
  return [`  set ${name} {`, `    type ${type};`, ...elementLines(elements), '  }'];
}

function map(name: string, key: string, elements: readonly string[]): string[] {
  return [`  map ${name} {`, `    type ${key} : verdict;`, ...elementLines(elements), '  }'];
}

function elementLines(elements: readonly string[]): string[] {
  return elements.length === 0 ? [] : [`    elements = { ${elements.join(',\n      ')} }`];
}
