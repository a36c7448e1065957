/** Who owns which name. Everything that is not listed here is somebody else's. */

const CHAINS: Record<string, readonly string[]> = {
  nat: [
    'KUBE-SERVICES',
    'KUBE-NODEPORTS',
    'KUBE-POSTROUTING',
    'KUBE-MARK-MASQ',
    'KUBE-PROXY-CANARY',
    // ipvs mode
    'KUBE-NODE-PORT',
    'KUBE-LOAD-BALANCER',
  ],
  filter: [
    'KUBE-SERVICES',
    'KUBE-EXTERNAL-SERVICES',
    'KUBE-NODEPORTS',
    'KUBE-FORWARD',
    'KUBE-PROXY-FIREWALL',
    'KUBE-PROXY-CANARY',
    // ipvs mode
    'KUBE-NODE-PORT',
    'KUBE-SOURCE-RANGES-FIREWALL',
    'KUBE-IPVS-FILTER',
    'KUBE-IPVS-OUT-FILTER',
  ],
  mangle: ['KUBE-PROXY-CANARY'],
};

/** One chain per Service port or endpoint: sixteen letters of a hash. */
const HASHED = /^KUBE-(?:SVC|SEP|EXT|FW|XLB|SVL)-[A-Z0-9]{8,20}$/;

/** The kubelet's, whatever they contain; listed so that no rule above can ever grow over them. */
export const KUBELET_CHAINS: readonly string[] = [
  'KUBE-FIREWALL',
  'KUBE-KUBELET-CANARY',
  'KUBE-IPTABLES-HINT',
  'KUBE-MARK-DROP',
];

export function isKubeProxyChain(table: string, chain: string): boolean {
  if (KUBELET_CHAINS.includes(chain)) return false;
  if (CHAINS[table]?.includes(chain)) return true;
  return table === 'nat' || table === 'filter' ? HASHED.test(chain) : false;
}

/** kube-proxy's nftables table, one per family. */
export const NFT_TABLE = 'kube-proxy';
/** Ours: it keeps translation going for the connections that are left. */
export const KEEP_TABLE = 'shunt-takeover';
/** Ours: what KUBE-FORWARD accepted and nobody else does. */
export const FORWARD_CHAIN = 'SHUNT-FORWARD';
export const FORWARD_COMMENT = 'shunt takeover: forwarded Service traffic';
export const IPVS_DEVICE = 'kube-ipvs0';
export const IPVS_SET = /^KUBE-[A-Z0-9-]+$/;
