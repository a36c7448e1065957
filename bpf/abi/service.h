/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "addr.h"

/* How a frontend's address is matched. An all-zero address is never a wildcard: NodePorts have a
 * kind of their own, and are looked up only for an address that lb_addresses says accepts them.
 */
enum lb_frontend_kind {
	FRONTEND_KIND_EXACT = 1,
	FRONTEND_KIND_NODEPORT4 = 4,
	FRONTEND_KIND_NODEPORT6 = 6,
};

enum lb_frontend_type {
	FRONTEND_CLUSTER_IP = 1,
	FRONTEND_NODE_PORT = 2,
	FRONTEND_LOAD_BALANCER = 3,
	FRONTEND_EXTERNAL_IP = 4,
};

struct lb_frontend_key {
	struct lb_addr addr; /* zero for the NODEPORT kinds */
	__be16 port;
	__u8 proto; /* IPPROTO_* */
	__u8 kind;  /* enum lb_frontend_kind */
};

enum lb_frontend_flags {
	FRONTEND_F_AFFINITY = 1,        /* sessionAffinity: ClientIP */
	FRONTEND_F_INTERNAL_MAGLEV = 2, /* the run is a Maglev table: index by tuple hash */
	FRONTEND_F_EXTERNAL_MAGLEV = 4,
	FRONTEND_F_INTERNAL_DROP = 8, /* scope is empty by Local policy: drop instead of reject */
	FRONTEND_F_EXTERNAL_DROP = 16,
	FRONTEND_F_EXTERNAL_LOCAL = 32, /* externalTrafficPolicy: Local. Never SNAT the outside */
	FRONTEND_F_INTERNAL_LOCAL = 64, /* internalTrafficPolicy: Local. For display */
	FRONTEND_F_SOURCE_RANGES = 128, /* check lb_src_ranges with range_set_id */
	FRONTEND_F_NODE_ALLOWED = 256,  /* a source range contains this node: the node may pass */
};

/* Slots of one traffic scope: a contiguous run in lb_slots. One aligned word, so that a new run
 * becomes visible in one store: base in the low half, count in the high half. Count 0 = nobody.
 */
#define LB_RUN_BASE(run)  ((__u32)(run))
#define LB_RUN_COUNT(run) ((__u32)((run) >> 32))

/* internal: clients are pods or this node. external: everyone else. For a cluster IP both are the
 * list of internalTrafficPolicy; for the other types internal is the Cluster list and external that
 * of externalTrafficPolicy.
 */
struct lb_frontend {
	__u64 internal;
	__u64 external;
	__u32 service_id; /* one service port of one family */
	__u32 flags;      /* enum lb_frontend_flags */
	__u32 affinity_timeout_s;
	__u32 range_set_id;
	__u32 internal_mask; /* bit of lb_backend.state that a usable backend must carry */
	__u32 external_mask;
	__u32 type; /* enum lb_frontend_type */
	__u32 pad;
};

/* lb_backend.state, one word that may change while the backend is reachable. */
enum lb_backend_state {
	BACKEND_F_ALIVE = 1,   /* the id is in use */
	BACKEND_F_READY = 2,   /* EndpointSlice conditions, null resolved */
	BACKEND_F_SERVING = 4, /* UDP flows may stay */
	BACKEND_F_TERMINATING = 8,
	BACKEND_F_ON_NODE = 16,      /* nodeName is this node */
	BACKEND_F_IN_INTERNAL = 256, /* usable by the list of internalTrafficPolicy */
	BACKEND_F_IN_CLUSTER = 512,  /* usable by the Cluster list */
	BACKEND_F_IN_LOCAL = 1024,   /* usable by the external Local list */
};

struct lb_backend {
	struct lb_addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad1;
	__u32 service_id;
	__u32 generation;  /* differs each time the id is given out */
	__u32 state;       /* enum lb_backend_state */
	__u32 locality_id; /* meta_localities */
	__u32 pad2;
};

/* What this node thinks of an address: the cheap first question about a packet. */
enum lb_address_flags {
	ADDRESS_F_NODE = 1,       /* an address of this node */
	ADDRESS_F_NODE_PORTS = 2, /* NodePort frontends answer on it */
	ADDRESS_F_LOOPBACK = 4,   /* serves node-local clients only */
	ADDRESS_F_CLUSTER_IP = 8, /* a Service's cluster IP: unknown ports are rejected */
	ADDRESS_F_EXTERNAL = 16,  /* load-balancer or external IP */
	ADDRESS_F_PRIMARY = 32,   /* the Node's InternalIP */
	ADDRESS_F_ECHO = 64,      /* answer ping: a port has a usable endpoint and nobody owns it */
};

struct lb_address {
	__u32 flags;     /* enum lb_address_flags */
	__u32 frontends; /* how many exact frontends have this address */
};

struct lb_affinity_key {
	struct lb_addr client; /* zero: this node itself */
	__u32 service_id;
	__u32 pad;
};

struct lb_affinity {
	__u64 last_used_ns; /* CLOCK_MONOTONIC */
	__u32 backend_id;
	__u32 backend_generation;
};

/* LPM trie: prefixlen counts from range_set_id on, so it is 32 + the prefix (v4: 32 + 96 + n). */
struct lb_src_range_key {
	__u32 prefixlen;
	__u32 range_set_id;
	struct lb_addr addr;
};

_Static_assert(sizeof(struct lb_frontend_key) == 20, "key must have no padding");
_Static_assert(sizeof(struct lb_frontend) == 48, "value layout");
_Static_assert(sizeof(struct lb_backend) == 40, "mmapped: the stride must be a multiple of 8");
_Static_assert(sizeof(struct lb_affinity_key) == 24, "key must have no padding");
