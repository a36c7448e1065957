import { spawnSync } from 'node:child_process';
import type { NftChain } from '../native/index.js';
import type { HostPortFacts } from './facts.js';

/** The CNI plugin portmap, and the kubelet of Docker days. */
const CHAINS = ['CNI-HOSTPORT-DNAT', 'KUBE-HOSTPORTS'];
const FAMILIES = { 2: ['iptables-nft-save', 4], 10: ['ip6tables-nft-save', 6] } as const;

/** hostPorts of pods that live in iptables rules: nobody listens on those. @param chains as nftables has them. */
export function readHostPorts(chains: readonly NftChain[]): HostPortFacts[] {
  const present = chains.filter(({ name, table }) => table === 'nat' && CHAINS.includes(name));
  const families = new Set(present.map(({ family }) => family));
  return [...families].flatMap((number) => {
    const [program, family] = FAMILIES[number as keyof typeof FAMILIES] ?? [];
    if (program === undefined) return [];
    const { status, stdout } = spawnSync(program, ['-t', 'nat'], { encoding: 'utf8', timeout: 10_000 });
    return status === 0 ? hostPortsOf(stdout, family) : [];
  });
}

/** Out of what `iptables-save -t nat` prints. */
export function hostPortsOf(text: string, family: 4 | 6): HostPortFacts[] {
  return text.split('\n').flatMap((line) => {
    const chain = /^-A (\S+) /.exec(line)?.[1];
    const protocol = /\s-p (tcp|udp|sctp)\s/.exec(line)?.[1]?.toUpperCase() as
      | HostPortFacts['protocol']
      | undefined;
    const ports = /\s--dports? (\S+)/.exec(line)?.[1];
    if (!CHAINS.includes(chain ?? '') || protocol === undefined || ports === undefined) return [];
    return ports.split(',').map((port) => ({ protocol, family, port: Number(port) }));
  });
}
