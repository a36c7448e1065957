/** Puts a kube-proxy's rules into a node of the box, in any of its modes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Box } from '../../../box/index.js';
import { iptablesRules } from './iptables.js';
import { nftablesRules } from './nftables.js';
import type { ProxiedPort, ProxyConfig } from './services.js';

export type ProxyMode = 'iptables-nft' | 'iptables-legacy' | 'nftables';

export async function installKubeProxy(
  box: Box,
  node: string,
  mode: ProxyMode,
  ports: readonly ProxiedPort[],
  config: ProxyConfig,
): Promise<void> {
  for (const family of [4, 6] as const) {
    const isNft = mode === 'nftables';
    const text = isNft ? nftablesRules(ports, config, family) : iptablesRules(ports, config, family);
    // A file, not a pipe: 10,000 services are some 20 MB.
    const file = join(box.directory, `kube-proxy-${node}-${family}`);
    writeFileSync(file, text);
    const variant = mode === 'iptables-legacy' ? 'legacy' : 'nft';
    const restore = `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}-restore --noflush -w 10 ${file}`;
    const script = isNft ? `nft -f ${file}` : restore;
    await box.exec(node, ['sh', '-c', `${script} && echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet`], {
      timeoutMs: 300_000,
    });
  }
}

/** All that is in netfilter now, without counters: what two moments are compared by. */
export async function netfilterText(box: Box, node: string): Promise<string> {
  const script = `for b in legacy nft; do for f in iptables ip6tables; do echo "== $f-$b"; $f-$b-save 2>/dev/null || true; done; done
    echo "== nft"; nft list tables | grep -v 'ip6\\? \\(nat\\|filter\\|mangle\\|raw\\)$' || true
    nft list table inet admin 2>/dev/null | sed 's/packets [0-9]* bytes [0-9]*//'`;
  const { stdout } = await box.exec(node, ['sh', '-c', script], { timeoutMs: 120_000 });
  return (
    stdout
      .split('\n')
      // An empty built-in chain that accepts is the same as none.
      .filter((line) => !/^(#|\*|COMMIT|:[A-Z]+ ACCEPT )/.test(line))
      .map((line) => line.replace(/\[\d+:\d+\]/, '[0:0]'))
      .join('\n')
  );
}
