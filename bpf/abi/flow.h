/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "addr.h"

enum ct_dir {
	CT_ORIGINAL = 0, /* client -> frontend */
	CT_REPLY = 1,    /* backend -> client, or -> the SNAT address */
	CT_MIDDLE = 2,   /* client -> backend, as the stack saw it; SNAT follows at egress */
};

/* A packet's tuple as it arrives at the hook that rewrites it. */
struct ct_tuple {
	struct lb_addr src;
	struct lb_addr dst;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 dir; /* enum ct_dir */
	__u16 pad;
};

enum ct_flow_flags {
	CT_F_RESTORE_INGRESS = 1, /* the reply is restored where it arrives, else at egress */
	CT_F_PAST_STACK = 2,      /* redirected out in both directions, with SNAT */
	CT_F_HAIRPIN = 4,         /* goes straight back out of the device it came from */
	CT_F_NODE_CLIENT = 8,     /* the client is this node: the reply is handed up */
	CT_F_EXTERNAL = 16,       /* chosen from the external scope */
	CT_F_SEEN_REPLY = 32,
	CT_F_ESTABLISHED = 64, /* the client acknowledged the backend's SYN-ACK */
	CT_F_FIN_ORIGINAL = 128,
	CT_F_FIN_REPLY = 256,
	CT_F_RST = 512,
	CT_F_VIA_XDP = 1024,     /* the first packet was finished by XDP */
	CT_F_SEEN_SYNACK = 4096, /* ack_next is known */
	CT_F_MIDSTREAM =
	    8192, /* picked up without a SYN: the backend's first packet tells ack_next */
	CT_F_FROM_POD = 16384, /* where the client is: packets from elsewhere are not its */
	CT_F_FROM_WIRE = 32768,
	CT_F_BRIDGE_PORT = 65536,  /* the client is a port of a bridge; so may its backend be */
	CT_F_DIRECT = 131072,      /* straight to the backend, beside a flow that has its port */
	CT_F_MIDDLE = 2048,        /* the second pair of a flow through the stack: SNAT at egress */
	CT_F_MIDDLE_USED = 262144, /* its first packet has passed: a MASQUERADE rule did not */
};

/* Where a past-the-stack flow's packets of this direction go next, or those that cross a bridge.
 * Valid while generation equals lb_config.fib_generation and expires_ns has not passed.
 */
struct ct_next_hop {
	__u64 expires_ns;
	__u32 generation;
	__u32 ifindex; /* 0: not known */
	__u8 dmac[6];
	__u8 smac[6];
	__u32 mtu;
};

/* One direction of a flow. Translation is "become the peer's mirror": a packet that matches this
 * entry leaves with src = peer.dst, dst = peer.src.
 */
struct ct_flow {
	struct ct_tuple peer;
	__u64 created_ns;
	__u64 last_seen_ns;
	__u64 packets;
	__u64 bytes;
	__u32 flags; /* enum ct_flow_flags; the same in both directions but for SEEN bits */
	__u32 service_id;
	__u32 backend_id;
	__u32 backend_generation;
	/* Host order. Half-open original: the ACK number that promotes it. Established: the last
	 * ACK number that this direction carried; the other side's FIN or RST must be near it.
	 */
	__u32 ack_next;
	__u32 ingress_ifindex; /* of the first packet */
	struct ct_next_hop next_hop;
};

enum sock_entry_kind {
	SOCK_REVERSE = 0, /* backend -> frontend, for recvmsg and getpeername */
	SOCK_FORWARD = 1, /* frontend -> backend: an unconnected UDP socket stays where it was */
};

struct sock_reverse_key {
	__u64 cookie;
	struct lb_addr addr; /* backend; frontend in a FORWARD entry */
	__be16 port;
	__u8 proto;
	__u8 kind; /* enum sock_entry_kind */
	__u32 pad;
};

struct sock_reverse {
	struct lb_addr addr; /* frontend; backend in a FORWARD entry */
	__be16 port;
	__u16 pad1;
	__u32 service_id;
	__u32 backend_id;
	__u32 backend_generation;
};

struct frag_key {
	struct lb_addr src;
	struct lb_addr dst;
	__u32 id; /* network order as in the packet; 16 bits in IPv4 */
	__u8 proto;
	__u8 pad[3];
};

struct frag_ports {
	__u64 created_ns;
	__be16 sport;
	__be16 dport;
	__u32 pad;
};

_Static_assert(sizeof(struct ct_tuple) == 40, "key must have no padding");
_Static_assert(sizeof(struct ct_next_hop) == 32, "layout");
_Static_assert(sizeof(struct ct_flow) == 128, "two cache lines");
_Static_assert(sizeof(struct sock_reverse_key) == 32, "key must have no padding");
_Static_assert(sizeof(struct frag_key) == 40, "key must have no padding");
