// Written by `npm run gen` from build/bpf/shunt.bpf.o; do not edit.
// Field names are those of bpf/abi/*.h. Offsets are read from the loaded object, never from here.

export const ABI_HASH = 0x1024ca8d8545f071n;

/** struct ct_flow, 128 bytes */
export interface CtFlow {
  peer: CtTuple;
  created_ns: bigint;
  last_seen_ns: bigint;
  packets: bigint;
  bytes: bigint;
  flags: number;
  service_id: number;
  backend_id: number;
  backend_generation: number;
  ack_next: number;
  ingress_ifindex: number;
  next_hop: CtNextHop;
}

/** struct ct_next_hop, 32 bytes */
export interface CtNextHop {
  expires_ns: bigint;
  generation: number;
  ifindex: number;
  dmac: Uint8Array; // 6 bytes
  smac: Uint8Array; // 6 bytes
  mtu: number;
}

/** struct ct_tuple, 40 bytes */
export interface CtTuple {
  src: string; // address text
  dst: string; // address text
  sport: number; // __be16, here the plain number
  dport: number; // __be16, here the plain number
  proto: number; // u8
  dir: number; // u8
}

/** struct frag_key, 40 bytes */
export interface FragKey {
  src: string; // address text
  dst: string; // address text
  id: number;
  proto: number; // u8
}

/** struct frag_ports, 16 bytes */
export interface FragPorts {
  created_ns: bigint;
  sport: number; // __be16, here the plain number
  dport: number; // __be16, here the plain number
}

/** struct lb_address, 8 bytes */
export interface LbAddress {
  flags: number;
  frontends: number;
}

/** struct lb_affinity, 16 bytes */
export interface LbAffinity {
  last_used_ns: bigint;
  backend_id: number;
  backend_generation: number;
}

/** struct lb_affinity_key, 24 bytes */
export interface LbAffinityKey {
  client: string; // address text
  service_id: number;
}

/** struct lb_backend, 40 bytes */
export interface LbBackend {
  addr: string; // address text
  port: number; // __be16, here the plain number
  proto: number; // u8
  service_id: number;
  generation: number;
  state: number;
  locality_id: number;
}

/** struct lb_config, 40 bytes */
export interface LbConfig {
  fib_generation: bigint;
  takeover_until_ns: bigint;
  agent_seen_ns: bigint;
  layout_version: bigint;
  drain: bigint;
}

/** struct lb_device, 24 bytes */
export interface LbDevice {
  class_: number;
  mtu: number;
  netns: number;
  bridge: number;
  mac: Uint8Array; // 6 bytes
}

/** struct lb_event, 88 bytes */
export interface LbEvent {
  time_ns: bigint;
  tuple: CtTuple;
  backend: string; // address text
  backend_port: number; // __be16, here the plain number
  kind: number; // u16
  reason: number;
  service_id: number;
  backend_id: number;
  ifindex: number;
  hook: number;
}

/** struct lb_frontend, 48 bytes */
export interface LbFrontend {
  internal: bigint;
  external: bigint;
  service_id: number;
  flags: number;
  affinity_timeout_s: number;
  range_set_id: number;
  internal_mask: number;
  external_mask: number;
  type: number;
}

/** struct lb_frontend_key, 20 bytes */
export interface LbFrontendKey {
  addr: string; // address text
  port: number; // __be16, here the plain number
  proto: number; // u8
  kind: number; // u8
}

/** struct lb_settings, 64 bytes */
export interface LbSettings {
  host_netns_cookie: bigint;
  flags: number;
  event_sample: number;
  snat_port_min: number;
  snat_port_max: number;
  hairpin4: string; // address text
  hairpin6: string; // address text
  refusals_per_s: number;
  hash_seed: number;
}

/** struct lb_src_range_key, 24 bytes */
export interface LbSrcRangeKey {
  prefixlen: number;
  range_set_id: number;
  addr: string; // address text
}

/** struct meta_locality, 320 bytes */
export interface MetaLocality {
  node_name: string; // at most 256 bytes of UTF-8
  zone: string; // at most 64 bytes of UTF-8
}

/** struct meta_service, 200 bytes */
export interface MetaService {
  namespace_: string; // at most 64 bytes of UTF-8
  name: string; // at most 64 bytes of UTF-8
  port_name: string; // at most 64 bytes of UTF-8
  family: number; // u8
  proto: number; // u8
  affinity: number; // u16
  affinity_timeout_s: number;
}

/** struct snat_source, 16 bytes */
export interface SnatSource {
  addr: string; // address text
}

/** struct snat_source_key, 8 bytes */
export interface SnatSourceKey {
  ifindex: number;
  family: number;
}

/** struct sock_reverse, 32 bytes */
export interface SockReverse {
  addr: string; // address text
  port: number; // __be16, here the plain number
  service_id: number;
  backend_id: number;
  backend_generation: number;
}

/** struct sock_reverse_key, 32 bytes */
export interface SockReverseKey {
  cookie: bigint;
  addr: string; // address text
  port: number; // __be16, here the plain number
  proto: number; // u8
  kind: number; // u8
}

/** struct stats_backend, 8 bytes */
export interface StatsBackend {
  new_flows: bigint;
}

/** struct stats_drop, 8 bytes */
export interface StatsDrop {
  packets: bigint;
}

/** struct stats_path, 16 bytes */
export interface StatsPath {
  packets: bigint;
  bytes: bigint;
}

/** struct stats_service, 64 bytes */
export interface StatsService {
  new_flows: bigint;
  packets: bigint;
  bytes: bigint;
  reply_packets: bigint;
  reply_bytes: bigint;
  refused: bigint;
  dropped: bigint;
  affinity_hits: bigint;
}

export interface StructTable {
  ct_flow: CtFlow;
  ct_next_hop: CtNextHop;
  ct_tuple: CtTuple;
  frag_key: FragKey;
  frag_ports: FragPorts;
  lb_address: LbAddress;
  lb_affinity: LbAffinity;
  lb_affinity_key: LbAffinityKey;
  lb_backend: LbBackend;
  lb_config: LbConfig;
  lb_device: LbDevice;
  lb_event: LbEvent;
  lb_frontend: LbFrontend;
  lb_frontend_key: LbFrontendKey;
  lb_settings: LbSettings;
  lb_src_range_key: LbSrcRangeKey;
  meta_locality: MetaLocality;
  meta_service: MetaService;
  snat_source: SnatSource;
  snat_source_key: SnatSourceKey;
  sock_reverse: SockReverse;
  sock_reverse_key: SockReverseKey;
  stats_backend: StatsBackend;
  stats_drop: StatsDrop;
  stats_path: StatsPath;
  stats_service: StatsService;
}

export interface MapTable {
  ct_any: { key: CtTuple; value: CtFlow };
  ct_flows: { key: CtTuple; value: CtFlow };
  ct_half_open: { key: CtTuple; value: CtFlow };
  frags: { key: FragKey; value: FragPorts };
  lb_addresses: { key: string; value: LbAddress };
  lb_affinity: { key: LbAffinityKey; value: LbAffinity };
  lb_backends: { key: number; value: LbBackend };
  lb_config: { key: number; value: LbConfig };
  lb_devices: { key: number; value: LbDevice };
  lb_frontends: { key: LbFrontendKey; value: LbFrontend };
  lb_slots: { key: number; value: number };
  lb_src_ranges: { key: LbSrcRangeKey; value: number };
  meta_localities: { key: number; value: MetaLocality };
  meta_services: { key: number; value: MetaService };
  snat_sources: { key: SnatSourceKey; value: SnatSource };
  sock_reverse: { key: SockReverseKey; value: SockReverse };
  stats_backends: { key: number; value: StatsBackend };
  stats_drops: { key: number; value: StatsDrop };
  stats_paths: { key: number; value: StatsPath };
  stats_services: { key: number; value: StatsService };
  xdp_devices: { key: number; value: number };
}

export type MapName = keyof MapTable;
export type MapKey<M extends MapName> = MapTable[M]['key'];
export type MapValue<M extends MapName> = MapTable[M]['value'];

export const MAP_NAMES = ['ct_any', 'ct_flows', 'ct_half_open', 'events', 'frags', 'lb_addresses', 'lb_affinity', 'lb_backends', 'lb_config', 'lb_devices', 'lb_frontends', 'lb_slots', 'lb_src_ranges', 'meta_localities', 'meta_services', 'snat_sources', 'sock_reverse', 'stats_backends', 'stats_drops', 'stats_paths', 'stats_services', 'xdp_devices'] as const;

export const CT_ORIGINAL = 0;
export const CT_REPLY = 1;
export const CT_MIDDLE = 2;
/** enum ct_dir */
export const ct_dir = { CT_ORIGINAL, CT_REPLY, CT_MIDDLE } as const;
export type CtDirName = keyof typeof ct_dir;

export const CT_F_RESTORE_INGRESS = 1;
export const CT_F_PAST_STACK = 2;
export const CT_F_HAIRPIN = 4;
export const CT_F_NODE_CLIENT = 8;
export const CT_F_EXTERNAL = 16;
export const CT_F_SEEN_REPLY = 32;
export const CT_F_ESTABLISHED = 64;
export const CT_F_FIN_ORIGINAL = 128;
export const CT_F_FIN_REPLY = 256;
export const CT_F_RST = 512;
export const CT_F_VIA_XDP = 1024;
export const CT_F_SEEN_SYNACK = 4096;
export const CT_F_MIDSTREAM = 8192;
export const CT_F_FROM_POD = 16384;
export const CT_F_FROM_WIRE = 32768;
export const CT_F_BRIDGE_PORT = 65536;
export const CT_F_DIRECT = 131072;
export const CT_F_MIDDLE = 2048;
export const CT_F_MIDDLE_USED = 262144;
/** enum ct_flow_flags */
export const ct_flow_flags = { CT_F_RESTORE_INGRESS, CT_F_PAST_STACK, CT_F_HAIRPIN, CT_F_NODE_CLIENT, CT_F_EXTERNAL, CT_F_SEEN_REPLY, CT_F_ESTABLISHED, CT_F_FIN_ORIGINAL, CT_F_FIN_REPLY, CT_F_RST, CT_F_VIA_XDP, CT_F_SEEN_SYNACK, CT_F_MIDSTREAM, CT_F_FROM_POD, CT_F_FROM_WIRE, CT_F_BRIDGE_PORT, CT_F_DIRECT, CT_F_MIDDLE, CT_F_MIDDLE_USED } as const;
export type CtFlowFlagsName = keyof typeof ct_flow_flags;

export const DRAIN_NO = 0;
export const DRAIN_OPERATOR = 1;
export const DRAIN_FILLING = 2;
export const DRAIN_HAND_OVER = 3;
/** enum drain */
export const drain = { DRAIN_NO, DRAIN_OPERATOR, DRAIN_FILLING, DRAIN_HAND_OVER } as const;
export type DrainName = keyof typeof drain;

export const DROP_REASON_NONE = 0;
export const DROP_REASON_NO_LOCAL_BACKEND = 1;
export const DROP_REASON_STALE = 2;
export const DROP_REASON_SOURCE_RANGE = 3;
export const DROP_REASON_SNAT_PORTS = 4;
export const DROP_REASON_NO_SNAT_SOURCE = 5;
export const DROP_REASON_FLOW_TABLE_FULL = 6;
export const DROP_REASON_NO_ROUTE = 7;
export const DROP_REASON_FRAGMENT_UNKNOWN = 9;
export const DROP_REASON_REFUSAL_FAILED = 10;
export const DROP_REASON_REFUSAL_LIMIT = 11;
export const DROP_REASON_TUPLE_TAKEN = 12;
export const DROP_REASON_REWRITE_FAILED = 13;
export const DROP_REASON_UNKNOWN_SERVICE_IP = 15;
export const DROP_REASON_SCTP_FRAGMENT = 17;
export const DROP_REASON_TTL = 18;
export const DROP_REASON_MAX = 24;
/** enum drop_reason */
export const drop_reason = { DROP_REASON_NONE, DROP_REASON_NO_LOCAL_BACKEND, DROP_REASON_STALE, DROP_REASON_SOURCE_RANGE, DROP_REASON_SNAT_PORTS, DROP_REASON_NO_SNAT_SOURCE, DROP_REASON_FLOW_TABLE_FULL, DROP_REASON_NO_ROUTE, DROP_REASON_FRAGMENT_UNKNOWN, DROP_REASON_REFUSAL_FAILED, DROP_REASON_REFUSAL_LIMIT, DROP_REASON_TUPLE_TAKEN, DROP_REASON_REWRITE_FAILED, DROP_REASON_UNKNOWN_SERVICE_IP, DROP_REASON_SCTP_FRAGMENT, DROP_REASON_TTL, DROP_REASON_MAX } as const;
export type DropReasonName = keyof typeof drop_reason;

export const ADDRESS_F_NODE = 1;
export const ADDRESS_F_NODE_PORTS = 2;
export const ADDRESS_F_LOOPBACK = 4;
export const ADDRESS_F_CLUSTER_IP = 8;
export const ADDRESS_F_EXTERNAL = 16;
export const ADDRESS_F_PRIMARY = 32;
export const ADDRESS_F_ECHO = 64;
/** enum lb_address_flags */
export const lb_address_flags = { ADDRESS_F_NODE, ADDRESS_F_NODE_PORTS, ADDRESS_F_LOOPBACK, ADDRESS_F_CLUSTER_IP, ADDRESS_F_EXTERNAL, ADDRESS_F_PRIMARY, ADDRESS_F_ECHO } as const;
export type LbAddressFlagsName = keyof typeof lb_address_flags;

export const BACKEND_F_ALIVE = 1;
export const BACKEND_F_READY = 2;
export const BACKEND_F_SERVING = 4;
export const BACKEND_F_TERMINATING = 8;
export const BACKEND_F_ON_NODE = 16;
export const BACKEND_F_IN_INTERNAL = 256;
export const BACKEND_F_IN_CLUSTER = 512;
export const BACKEND_F_IN_LOCAL = 1024;
/** enum lb_backend_state */
export const lb_backend_state = { BACKEND_F_ALIVE, BACKEND_F_READY, BACKEND_F_SERVING, BACKEND_F_TERMINATING, BACKEND_F_ON_NODE, BACKEND_F_IN_INTERNAL, BACKEND_F_IN_CLUSTER, BACKEND_F_IN_LOCAL } as const;
export type LbBackendStateName = keyof typeof lb_backend_state;

export const DEVICE_POD = 1;
export const DEVICE_OVERLAY = 2;
export const DEVICE_UPLINK = 3;
export const DEVICE_BRIDGE = 4;
export const DEVICE_LOOPBACK = 5;
export const DEVICE_LAYER3 = 6;
/** enum lb_device_class */
export const lb_device_class = { DEVICE_POD, DEVICE_OVERLAY, DEVICE_UPLINK, DEVICE_BRIDGE, DEVICE_LOOPBACK, DEVICE_LAYER3 } as const;
export type LbDeviceClassName = keyof typeof lb_device_class;

export const EVENT_NEW_FLOW = 1;
export const EVENT_DROP = 2;
export const EVENT_REFUSED = 3;
/** enum lb_event_kind */
export const lb_event_kind = { EVENT_NEW_FLOW, EVENT_DROP, EVENT_REFUSED } as const;
export type LbEventKindName = keyof typeof lb_event_kind;

export const FRONTEND_F_AFFINITY = 1;
export const FRONTEND_F_INTERNAL_MAGLEV = 2;
export const FRONTEND_F_EXTERNAL_MAGLEV = 4;
export const FRONTEND_F_INTERNAL_DROP = 8;
export const FRONTEND_F_EXTERNAL_DROP = 16;
export const FRONTEND_F_EXTERNAL_LOCAL = 32;
export const FRONTEND_F_INTERNAL_LOCAL = 64;
export const FRONTEND_F_SOURCE_RANGES = 128;
export const FRONTEND_F_NODE_ALLOWED = 256;
/** enum lb_frontend_flags */
export const lb_frontend_flags = { FRONTEND_F_AFFINITY, FRONTEND_F_INTERNAL_MAGLEV, FRONTEND_F_EXTERNAL_MAGLEV, FRONTEND_F_INTERNAL_DROP, FRONTEND_F_EXTERNAL_DROP, FRONTEND_F_EXTERNAL_LOCAL, FRONTEND_F_INTERNAL_LOCAL, FRONTEND_F_SOURCE_RANGES, FRONTEND_F_NODE_ALLOWED } as const;
export type LbFrontendFlagsName = keyof typeof lb_frontend_flags;

export const FRONTEND_KIND_EXACT = 1;
export const FRONTEND_KIND_NODEPORT4 = 4;
export const FRONTEND_KIND_NODEPORT6 = 6;
/** enum lb_frontend_kind */
export const lb_frontend_kind = { FRONTEND_KIND_EXACT, FRONTEND_KIND_NODEPORT4, FRONTEND_KIND_NODEPORT6 } as const;
export type LbFrontendKindName = keyof typeof lb_frontend_kind;

export const FRONTEND_CLUSTER_IP = 1;
export const FRONTEND_NODE_PORT = 2;
export const FRONTEND_LOAD_BALANCER = 3;
export const FRONTEND_EXTERNAL_IP = 4;
/** enum lb_frontend_type */
export const lb_frontend_type = { FRONTEND_CLUSTER_IP, FRONTEND_NODE_PORT, FRONTEND_LOAD_BALANCER, FRONTEND_EXTERNAL_IP } as const;
export type LbFrontendTypeName = keyof typeof lb_frontend_type;

export const HOOK_TC_INGRESS = 1;
export const HOOK_TC_EGRESS = 2;
export const HOOK_XDP = 3;
export const HOOK_SOCK = 4;
/** enum lb_hook */
export const lb_hook = { HOOK_TC_INGRESS, HOOK_TC_EGRESS, HOOK_XDP, HOOK_SOCK } as const;
export type LbHookName = keyof typeof lb_hook;

export const PATH_NONE = 0;
export const PATH_LOCAL = 1;
export const PATH_REMOTE_TC = 2;
export const PATH_REMOTE_XDP = 3;
export const PATH_REPLY_EGRESS = 4;
export const PATH_REPLY_TC = 5;
export const PATH_REPLY_XDP = 6;
export const PATH_HAIRPIN = 7;
export const PATH_NODE_EGRESS = 8;
export const PATH_NODE_REPLY = 9;
export const PATH_REFUSED = 10;
export const PATH_XDP_TO_STACK = 11;
export const PATH_SOCK_CONNECT = 12;
export const PATH_SOCK_SENDMSG = 13;
export const PATH_SOCK_REFUSED = 14;
export const PATH_ICMP_ERROR = 15;
export const PATH_ECHO = 16;
export const PATH_MIDDLE = 17;
export const PATH_MIDDLE_REPLY = 18;
export const PATH_MAX = 24;
/** enum lb_path */
export const lb_path = { PATH_NONE, PATH_LOCAL, PATH_REMOTE_TC, PATH_REMOTE_XDP, PATH_REPLY_EGRESS, PATH_REPLY_TC, PATH_REPLY_XDP, PATH_HAIRPIN, PATH_NODE_EGRESS, PATH_NODE_REPLY, PATH_REFUSED, PATH_XDP_TO_STACK, PATH_SOCK_CONNECT, PATH_SOCK_SENDMSG, PATH_SOCK_REFUSED, PATH_ICMP_ERROR, PATH_ECHO, PATH_MIDDLE, PATH_MIDDLE_REPLY, PATH_MAX } as const;
export type LbPathName = keyof typeof lb_path;

export const SETTING_READ_ONLY = 1;
export const SETTING_MASQUERADE_EXTERNAL = 2;
export const SETTING_MASQUERADE_ALL = 4;
export const SETTING_HOST_ROUTING_STACK = 8;
export const SETTING_SOCK_UDP_CONNECT = 16;
export const SETTING_SOCK_ALL = 32;
export const SETTING_FIXED_CHOICE = 64;
export const SETTING_CLUSTER_CIDRS = 128;
export const SETTING_SERVICE_CIDRS = 256;
/** enum lb_setting_flags */
export const lb_setting_flags = { SETTING_READ_ONLY, SETTING_MASQUERADE_EXTERNAL, SETTING_MASQUERADE_ALL, SETTING_HOST_ROUTING_STACK, SETTING_SOCK_UDP_CONNECT, SETTING_SOCK_ALL, SETTING_FIXED_CHOICE, SETTING_CLUSTER_CIDRS, SETTING_SERVICE_CIDRS } as const;
export type LbSettingFlagsName = keyof typeof lb_setting_flags;

export const SOCK_REVERSE = 0;
export const SOCK_FORWARD = 1;
/** enum sock_entry_kind */
export const sock_entry_kind = { SOCK_REVERSE, SOCK_FORWARD } as const;
export type SockEntryKindName = keyof typeof sock_entry_kind;
