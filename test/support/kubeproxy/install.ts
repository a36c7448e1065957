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
    const program = `${family === 4 ? 'iptables' : 'ip6tables'}-${mode === 'iptables-legacy' ? 'legacy' : 'nft'}`;
    const rules = iptablesRules(ports, config, family);
    let text = rules;
    let script = `${program}-restore --noflush -w 10`;
    if (mode === 'nftables') {
      const table = `table ${family === 4 ? 'ip' : 'ip6'} kube-proxy`;
      // What was there goes in the same transaction.
      text = `${table}\ndelete ${table}\n${nftablesRules(ports, config, family)}`;
      script = 'nft -f';
    } else if (mode === 'iptables-nft') {
      // With --noflush its time grows with the square of the chains: all there is, written anew, is as good.
      const { stdout } = await box.exec(node, [`${program}-save`], { timeoutMs: 120_000 });
      text = mergeTables(withoutOwn(stdout), rules);
      script = `${program}-restore -w 10`;
    }
    // A file, not a pipe: 10,000 services are some 20 MB.
    const file = join(box.directory, `kube-proxy-${node}-${family}`);
    writeFileSync(file, text);
    script += ` ${file}`;
    await box.exec(node, ['sh', '-c', `${script} && echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet`], {
      timeoutMs: 300_000,
    });
  }
}

/** What iptables-save printed, without what an earlier call wrote. */
function withoutOwn(saved: string): string {
  const own = new Set(
    saved.match(/^:KUBE-(?!FIREWALL|KUBELET|IPTABLES-HINT|MARK-DROP)\S+/gm)?.map((c) => c.slice(1)),
  );
  const isOwn = (line: string) => {
    const [, chain] = /^(?::|-A )(\S+)/.exec(line) ?? [];
    const [, target] = / -j (\S+)[^"]*$/.exec(line) ?? [];
    return own.has(chain ?? '') || own.has(target ?? '');
  };
  return saved
    .split('\n')
    .filter((line) => !isOwn(line))
    .join('\n');
}

/** Inputs of iptables-restore as one, table by table: chains of both, then rules of both. */
function mergeTables(...inputs: string[]): string {
  const tables = new Map<string, { chains: string[]; rules: string[] }>();
  for (const input of inputs) {
    let name = '';
    for (const line of input.split('\n')) {
      if (line.startsWith('*')) name = line;
      const table = tables.get(name) ?? { chains: [], rules: [] };
      if (name !== '') tables.set(name, table);
      if (line.startsWith(':')) table.chains.push(line);
      else if (line.startsWith('-')) table.rules.push(line);
    }
  }
  return [...tables]
    .flatMap(([name, { chains, rules }]) => [name, ...chains, ...rules, 'COMMIT'])
    .concat('')
    .join('\n');
}

/** All that is in netfilter now, without counters: what two moments are compared by. */
export async function netfilterText(box: Box, node: string): Promise<string> {
  const script = `for b in legacy nft; do for f in iptables ip6tables; do echo "== $f-$b"; $f-$b-save 2>/dev/null || true; done; done
    echo "== nft"; nft list tables | { grep -v 'ip6\\? \\(nat\\|filter\\|mangle\\|raw\\)$' || true; } |
      while read -r table; do nft -s list $table; done`;
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
