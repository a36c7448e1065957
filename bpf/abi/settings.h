/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "addr.h"

enum lb_setting_flags {
	SETTING_READ_ONLY = 1,           /* no map write, for explain and tests */
	SETTING_MASQUERADE_EXTERNAL = 2, /* --external-source=masquerade */
	SETTING_MASQUERADE_ALL = 4,      /* --masquerade-all */
	SETTING_HOST_ROUTING_STACK = 8,  /* --host-routing=stack */
	SETTING_SOCK_UDP_CONNECT = 16,   /* --socket-lb-udp-connect */
	SETTING_SOCK_ALL = 32,           /* --socket-lb=all: pods' sockets too */
	SETTING_FIXED_CHOICE = 64,       /* tests: random scopes always choose slot 0 */
	SETTING_CLUSTER_CIDRS = 128,     /* lb_src_ranges has RANGE_SET_CLUSTER: who is a pod */
	SETTING_SERVICE_CIDRS = 256,     /* lb_src_ranges has RANGE_SET_SERVICE: drop unknown IPs */
};

/* Sets of lb_src_ranges that belong to the node, not to a service. */
#define RANGE_SET_CLUSTER 0xffffffffu /* pod addresses of the whole cluster */
#define RANGE_SET_SERVICE 0xfffffffeu /* cluster-IP ranges */

/* Constants of one load of the programs (.rodata variable `settings`). */
struct lb_settings {
	__u64 host_netns_cookie;
	__u32 flags;         /* enum lb_setting_flags */
	__u32 event_sample;  /* emit one new-flow event in N; 0: none */
	__u32 snat_port_min; /* host order, inclusive */
	__u32 snat_port_max;
	struct lb_addr hairpin4; /* source of a pod's packets to itself */
	struct lb_addr hairpin6;
	__u32 refusals_per_s; /* ICMP/RST made per second and CPU */
	__u32 hash_seed; /* random per load: nobody may guess ports and choices; not for Maglev */
};
