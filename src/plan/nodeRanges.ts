/** Ids of the node's own range sets: RANGE_SET_* of bpf/abi/settings.h. */
export const RANGE_SET_CLUSTER = 0xffff_ffff;
export const RANGE_SET_SERVICE = 0xffff_fffe;

/** What is known of addresses as ranges, whole. */
export interface NodeRanges {
  /** Pods of the whole cluster (`--cluster-cidr`). */
  cluster: readonly string[];
  /** Cluster IPs (`--service-cidrs`, ServiceCIDR objects). */
  service: readonly string[];
  /** Cluster IPs among them that another proxy serves. */
  foreign?: readonly string[];
}
