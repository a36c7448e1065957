/** Gives the nodes of a running box other netfilter rules and sysctls. */
import type { Box, BoxNode } from '../../../box/index.js';
import { renderNetfilter } from '../../../box/network.js';
import type { Setting } from './matrix.js';

// rp_filter of a device is the larger of its own and that of `all`, and was inherited when it was made.
const SYSCTLS = `
for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo "$1" > "$f"; done
for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e "$f" ] || echo "$2" > "$f"; done`;

export async function changeNodes(box: Box, setting: Setting): Promise<void> {
  await Promise.all([...box.nodes.values()].map((node) => changeNode(box, node, setting)));
}

async function changeNode(box: Box, node: BoxNode, setting: Setting): Promise<void> {
  const { nft, iptables, ip6tables } = renderNetfilter({ ...node.plan, netfilter: setting.netfilter });
  const { rpFilter, bridgeNfCallIptables } = setting;
  await box.exec(node, ['sh', '-c', SYSCTLS, 'sh', String(rpFilter), String(bridgeNfCallIptables)]);
  // iptables is iptables-nft: its tables go too.
  await box.exec(node, ['nft', '-f', '-'], { input: `flush ruleset\n${nft ?? ''}` });
  if (iptables !== undefined) await box.exec(node, ['iptables-restore'], { input: iptables });
  if (ip6tables !== undefined) await box.exec(node, ['ip6tables-restore'], { input: ip6tables });
  // A connection begun under other rules would keep their NAT.
  await box.exec(node, ['conntrack', '-F']);
}
