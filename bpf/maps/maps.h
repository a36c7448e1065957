/* SPDX-License-Identifier: GPL-2.0 */
/* Every map: what it holds, who writes. Sizes are defaults; the agent may raise them before load.
 * Names are those of the pins, of TypeScript and of the CLI (15 characters: the kernel's limit).
 */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../abi/service.h"
#include "../abi/flow.h"
#include "../abi/verdict.h"
#include "../abi/event.h"
#include "../abi/config.h"

#define MAX_SERVICES  65536
#define MAX_BACKENDS  131072
#define MAX_SLOTS     2097152
#define MAX_FRONTENDS 131072
#define MAX_FLOWS     524288

/* Address, port, protocol -> scopes of a service. Writer: agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRONTENDS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_frontend_key);
	__type(value, struct lb_frontend);
} lb_frontends SEC(".maps");

/* Backend id per slot; a scope owns a contiguous run. Writer: agent, by mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} lb_slots SEC(".maps");

/* Backend id -> backend; id 0 is nobody. Writer: agent, by mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BACKENDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct lb_backend);
} lb_backends SEC(".maps");

/* Addresses that Shunt has an opinion about: the node's and every frontend's. Writer: agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRONTENDS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_addr);
	__type(value, struct lb_address);
} lb_addresses SEC(".maps");

/* Client and service port -> remembered backend. Writer: data path. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct lb_affinity_key);
	__type(value, struct lb_affinity);
} lb_affinity SEC(".maps");

/* Source ranges by set; a change writes a fresh set, then flips the frontend's id. Writer: agent.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_src_range_key);
	__type(value, __u32);
} lb_src_ranges SEC(".maps");

/* SNAT source by device and family. Writer: agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct snat_source_key);
	__type(value, struct snat_source);
} snat_sources SEC(".maps");

/* What kind of device an ifindex is. Writer: agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct lb_device);
} lb_devices SEC(".maps");

/* Devices proven to transmit XDP frames: XDP_PASS on a miss. Writer: agent. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} xdp_devices SEC(".maps");

/* Established TCP flows, both directions. Never evicted by the kernel. Writer: data path, sweeper.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOWS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ct_tuple);
	__type(value, struct ct_flow);
} ct_flows SEC(".maps");

/* TCP before the client has acknowledged the backend's SYN-ACK. Writer: data path. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct ct_tuple);
	__type(value, struct ct_flow);
} ct_half_open SEC(".maps");

/* UDP, SCTP and ICMP flows. Writer: data path. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct ct_tuple);
	__type(value, struct ct_flow);
} ct_any SEC(".maps");

/* Socket cookie and backend -> frontend, for recvmsg and getpeername. Writer: data path. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct sock_reverse_key);
	__type(value, struct sock_reverse);
} sock_reverse SEC(".maps");

/* Ports of first fragments. Writer: data path. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct frag_key);
	__type(value, struct frag_ports);
} frags SEC(".maps");

/* Words that change at run time. Writer: agent, by mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct lb_config);
} lb_config SEC(".maps");

/* Counters: index = id * STATS_SHARDS + cpu % STATS_SHARDS. Writer: data path. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVICES * STATS_SHARDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stats_service);
} stats_services SEC(".maps");

/* One per backend id, unsharded: only new flows touch it. Writer: data path. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BACKENDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stats_backend);
} stats_backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DROP_REASON_MAX * STATS_SHARDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stats_drop);
} stats_drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PATH_MAX * STATS_SHARDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stats_path);
} stats_paths SEC(".maps");

/* Sampled events, struct lb_event. Writer: data path; reader: agent or `shunt monitor`. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Names for the CLI. Writer: agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SERVICES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct meta_service);
} meta_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct meta_locality);
} meta_localities SEC(".maps");
