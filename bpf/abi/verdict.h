/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

/* Why a packet was dropped: the cause, not the symptom. Names go to metrics, CLI and docs/DROPS.md.
 * The numbers 8, 14, 16 and 19 are those of causes that are none any more; they stay unused.
 */
enum drop_reason {
	DROP_REASON_NONE = 0,
	DROP_REASON_NO_LOCAL_BACKEND = 1, /* Local policy, usable endpoints only elsewhere */
	DROP_REASON_STALE = 2,            /* lists changed twice while the packet looked */
	DROP_REASON_SOURCE_RANGE = 3,     /* loadBalancerSourceRanges does not contain the client */
	DROP_REASON_SNAT_PORTS = 4,       /* no free SNAT port in 32 tries */
	DROP_REASON_NO_SNAT_SOURCE = 5,   /* no source address known for the way out */
	DROP_REASON_FLOW_TABLE_FULL = 6,  /* ct_flows took no more entries */
	DROP_REASON_NO_ROUTE = 7,         /* no route to the backend */
	DROP_REASON_FRAGMENT_UNKNOWN = 9, /* fragment before its first */
	DROP_REASON_REFUSAL_FAILED = 10,  /* could not build the refusal */
	DROP_REASON_REFUSAL_LIMIT = 11,   /* refusals are rate-limited */
	DROP_REASON_TUPLE_TAKEN = 12,     /* reply tuple belongs to another flow */
	DROP_REASON_REWRITE_FAILED = 13,  /* a packet helper refused */
	DROP_REASON_UNKNOWN_SERVICE_IP = 15, /* in the service range, but nobody's */
	DROP_REASON_SCTP_FRAGMENT = 17,      /* first fragment that would need new SCTP ports */
	DROP_REASON_TTL = 18,                /* hop limit used up where we forward past the stack */
	DROP_REASON_MAX = 24,
};

/* What became of a packet that concerned us; one counter each, by hook. */
enum lb_path {
	PATH_NONE = 0,
	PATH_LOCAL = 1,         /* DNAT, then up the stack */
	PATH_REMOTE_TC = 2,     /* past the stack by tc, to the backend */
	PATH_REMOTE_XDP = 3,    /* past the stack by XDP, to the backend */
	PATH_REPLY_EGRESS = 4,  /* restored at egress */
	PATH_REPLY_TC = 5,      /* restored at ingress by tc and redirected out */
	PATH_REPLY_XDP = 6,     /* the same by XDP */
	PATH_HAIRPIN = 7,       /* back to the pod that asked */
	PATH_NODE_EGRESS = 8,   /* this node's own packet, translated on its way out */
	PATH_NODE_REPLY = 9,    /* its reply, restored and handed up */
	PATH_REFUSED = 10,      /* answered with RST or ICMP unreachable */
	PATH_XDP_TO_STACK = 11, /* XDP left it to tc */
	PATH_SOCK_CONNECT = 12, /* socket hooks */
	PATH_SOCK_SENDMSG = 13,
	PATH_SOCK_REFUSED = 14,
	PATH_ICMP_ERROR = 15,   /* translated with its inner header */
	PATH_ECHO = 16,         /* ping to a service address, answered */
	PATH_MIDDLE = 17,       /* through the stack: source rewritten at egress */
	PATH_MIDDLE_REPLY = 18, /* and restored at ingress, for the stack to route */
	PATH_MAX = 24,
};

#define STATS_SHARDS 8

struct stats_service {
	__u64 new_flows;
	__u64 packets;
	__u64 bytes;
	__u64 reply_packets;
	__u64 reply_bytes;
	__u64 refused;
	__u64 dropped;
	__u64 affinity_hits;
};

struct stats_backend {
	__u64 new_flows;
};

struct stats_path {
	__u64 packets;
	__u64 bytes;
};

struct stats_drop {
	__u64 packets;
};
