import { addon, type NftChain, type TcFilter, type XdpPrograms } from './addon.js';
import { type CgroupAttachName, CgroupAttachType } from './constants.js';
import type { Direction } from './link.js';

// What hangs on hooks, whoever put it there. Reads only; devices are those of the calling process' network namespace.

/** Bits of {@link xdpFeatures} (`enum netdev_xdp_act`). */
export const XdpFeature = { BASIC: 1, REDIRECT: 2, NDO_XMIT: 4 } as const;

/** tcx programs of a device in the order of running. `EINVAL` before Linux 6.6. `linkId` 0: attached without a link. */
export function queryTcx(ifindex: number, direction: Direction): { progId: number; linkId: number }[] {
  return addon().queryTcx(ifindex, direction === 'egress');
}

/** Ids of the programs attached to this very cgroup. */
export function queryCgroup(path: string, attachType: CgroupAttachName): number[] {
  return addon().queryCgroup(path, CgroupAttachType[attachType]);
}

export function queryXdp(ifindex: number): XdpPrograms {
  return addon().queryXdp(ifindex);
}

/** Filters of the clsact or ingress qdisc, BPF and others; none without such a qdisc. */
export function queryFilters(ifindex: number, direction: Direction): TcFilter[] {
  return addon().queryFilters(ifindex, direction === 'egress');
}

/** What the driver declares, see {@link XdpFeature}; undefined before Linux 6.3, which does not tell. */
export function xdpFeatures(ifindex: number): number | undefined {
  return addon().xdpFeatures(ifindex);
}

/** Chains of nf_tables, iptables-nft's among them. Needs CAP_NET_ADMIN. */
export function nftChains(): NftChain[] {
  return addon().nftChains();
}
