/** A rule set in the shape that kube-proxy's iptables mode writes, as input of iptables-restore. */
import { hashOf, hostPort, type ProxiedPort, type ProxyConfig } from './services.js';

/** One family. Order and comments as kube-proxy has them. */
export function iptablesRules(ports: readonly ProxiedPort[], config: ProxyConfig, family: 4 | 6): string {
  const own = ports.filter((port) => port.family === family);
  return [...mangle(), ...filter(own, config), ...nat(own, config.clusterCidr[family], family), ''].join(
    '\n',
  );
}

function mangle(): string[] {
  return ['*mangle', ':KUBE-PROXY-CANARY - [0:0]', 'COMMIT'];
}

function filter(ports: readonly ProxiedPort[], config: ProxyConfig): string[] {
  const chains = [
    ...['KUBE-EXTERNAL-SERVICES', 'KUBE-FORWARD', 'KUBE-NODEPORTS', 'KUBE-PROXY-CANARY'],
    ...['KUBE-PROXY-FIREWALL', 'KUBE-SERVICES'],
  ];
  const firewall =
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL';
  const portals =
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES';
  const external =
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES';
  return [
    '*filter',
    ...chains.map((chain) => `:${chain} - [0:0]`),
    `-I INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS`,
    `-I INPUT ${external}`,
    `-I INPUT ${firewall}`,
    `-I OUTPUT ${portals}`,
    `-I OUTPUT ${firewall}`,
    `-I FORWARD ${external}`,
    `-I FORWARD ${portals}`,
    '-I FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
    `-I FORWARD ${firewall}`,
    '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ...(config.healthCheckPorts ?? []).map(
      (port) =>
        `-A KUBE-NODEPORTS -p tcp -m comment --comment "default/lb health check node port" -m tcp --dport ${port} -j ACCEPT`,
    ),
    ...ports
      .filter((p) => p.endpoints.length === 0)
      .map(
        (p) =>
          `-A KUBE-SERVICES -d ${cidrOf(p.clusterIp)} -p ${p.protocol} -m comment --comment "${p.name} has no endpoints" -m ${p.protocol} --dport ${p.port} -j REJECT`,
      ),
    'COMMIT',
  ];
}

function nat(ports: readonly ProxiedPort[], clusterCidr: string, family: 4 | 6): string[] {
  const served = ports.filter((port) => port.endpoints.length > 0);
  const chains = [
    ...['KUBE-MARK-MASQ', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-PROXY-CANARY', 'KUBE-SERVICES'],
    ...served.flatMap(chainsOf),
  ];
  return [
    '*nat',
    ...chains.map((chain) => `:${chain} - [0:0]`),
    '-I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-I OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-I POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000',
    '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    ...served.flatMap((port) => rulesOf(port, clusterCidr)),
    `-A KUBE-SERVICES ! -d ${family === 4 ? '127.0.0.0/8' : '::1/128'} -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
    'COMMIT',
  ];
}

function chainsOf(p: ProxiedPort): string[] {
  const hash = hashOf(p.name, p.protocol);
  return [
    `KUBE-SVC-${hash}`,
    ...(p.nodePort === undefined ? [] : [`KUBE-EXT-${hash}`]),
    ...p.endpoints.map((e) => `KUBE-SEP-${hashOf(p.name, p.protocol, hostPort(e.ip, e.port))}`),
  ];
}

function rulesOf(p: ProxiedPort, clusterCidr: string): string[] {
  const hash = hashOf(p.name, p.protocol);
  const comment = (text: string) => `-m comment --comment "${text}"`;
  const to = `-d ${cidrOf(p.clusterIp)} -p ${p.protocol}`;
  const port = `-m ${p.protocol} --dport ${p.port}`;
  const lines = [
    `-A KUBE-SERVICES ${to} ${comment(`${p.name} cluster IP`)} ${port} -j KUBE-SVC-${hash}`,
    `-A KUBE-SVC-${hash} ! -s ${clusterCidr} ${to} ${comment(`${p.name} cluster IP`)} ${port} -j KUBE-MARK-MASQ`,
  ];
  if (p.nodePort !== undefined) {
    lines.push(
      `-A KUBE-NODEPORTS -p ${p.protocol} ${comment(p.name)} -m ${p.protocol} --dport ${p.nodePort} -j KUBE-EXT-${hash}`,
      `-A KUBE-EXT-${hash} ${comment(`masquerade traffic for ${p.name} external destinations`)} -j KUBE-MARK-MASQ`,
      `-A KUBE-EXT-${hash} -j KUBE-SVC-${hash}`,
    );
  }
  p.endpoints.forEach((e, i) => {
    const left = p.endpoints.length - i;
    const sep = `KUBE-SEP-${hashOf(p.name, p.protocol, hostPort(e.ip, e.port))}`;
    const dice = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
    lines.push(
      `-A KUBE-SVC-${hash} ${comment(`${p.name} -> ${hostPort(e.ip, e.port)}`)}${dice} -j ${sep}`,
      `-A ${sep} -s ${cidrOf(e.ip)} ${comment(p.name)} -j KUBE-MARK-MASQ`,
      `-A ${sep} -p ${p.protocol} ${comment(p.name)} -m ${p.protocol} -j DNAT --to-destination ${hostPort(e.ip, e.port)}`,
    );
  });
  return lines;
}

function cidrOf(ip: string): string {
  return ip.includes(':') ? `${ip}/128` : `${ip}/32`;
}
