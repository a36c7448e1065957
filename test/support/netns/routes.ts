import type { Box } from '../../../box/index.js';

/** Ranges of Service addresses that tests use; nothing else in the box knows them. */
export const SERVICE_RANGES4 = ['10.96.0.0/16', '192.0.2.0/24', '198.51.100.0/24'];
export const SERVICE_RANGES6 = ['fd00:96::/64', '2001:db8:1::/48', '2001:db8:2::/48'];

/** The outside client sends what is for Services to this node, as a router (ECMP, BGP) would. */
export async function routeToNode(box: Box, node: string): Promise<void> {
  const { ipv4, ipv6 } = box.node(node);
  const lines = [
    ...SERVICE_RANGES4.map((range) => `route replace ${range} via ${ipv4}`),
    ...SERVICE_RANGES6.map((range) => `route replace ${range} via ${ipv6}`),
  ];
  // A packet that nobody serves goes back to the router by the link it came from; the redirect that the
  // node then sends must not lead later ones around it.
  const ignore = 'for f in /proc/sys/net/ipv[46]/conf/*/accept_redirects; do echo 0 > $f; done';
  await box.exec('outside', ['sh', '-c', ignore]);
  await box.exec('outside', ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
