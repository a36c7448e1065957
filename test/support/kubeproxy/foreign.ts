/** Rules of others: a CNI's, the kubelet's, an administrator's. None of them may ever change. */
import type { Box } from '../../../box/index.js';
import type { ProxyMode } from './install.js';

export async function installForeignRules(box: Box, node: string, mode: ProxyMode): Promise<void> {
  const variant = mode === 'iptables-legacy' ? 'legacy' : 'nft';
  for (const family of [4, 6] as const) {
    const program = `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}-restore`;
    await box.exec(node, [program, '--noflush'], { input: foreignRules(family) });
  }
  await box.exec(node, ['nft', '-f', '-'], {
    input:
      'table inet admin {\n  chain input { type filter hook input priority 10; tcp dport 2222 counter drop; }\n}\n',
  });
}

export function foreignRules(family: 4 | 6): string {
  const pods = family === 4 ? '10.244.0.0/16' : 'fd00:244::/32';
  const pod = family === 4 ? '10.244.1.99' : 'fd00:244:1::99';
  const local = family === 4 ? '127.0.0.0/8' : '::1/128';
  return `*mangle
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-IPTABLES-HINT - [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -m comment --comment "clamp -j KUBE-SERVICES" -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:CNI-FORWARD - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp -m tcp --dport 9999 -j DROP
-A OUTPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A KUBE-FIREWALL ! -s ${local} -d ${local} -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A CNI-FORWARD -d ${pods} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A CNI-FORWARD -s ${pods} -j ACCEPT
COMMIT
*nat
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-MARK-DROP - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-1234567890abcdef - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cbr0\\" id: \\"1\\"" -m multiport --dports 8443 -j CNI-1234567890abcdef
-A CNI-1234567890abcdef -p tcp -m tcp --dport 8443 -j DNAT --to-destination ${family === 4 ? `${pod}:443` : `[${pod}]:443`}
-A POSTROUTING -s ${pods} ! -d ${pods} -m comment --comment "KUBE-POSTROUTING of nobody" -j ACCEPT
-A KUBE-MARK-DROP -j MARK --or-mark 0x8000
COMMIT
`;
}
