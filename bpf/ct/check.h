/* SPDX-License-Identifier: GPL-2.0 */
/* What an existing flow means for this packet. */
#pragma once
#include "pair.h"
#include "touch.h"

/* Where a packet with a service address comes from. */
enum origin {
	ORIGIN_POD = 1,  /* a pod device of this node */
	ORIGIN_WIRE = 2, /* an uplink or overlay */
	ORIGIN_NODE = 3, /* a socket of this node */
};

enum flow_verdict {
	FLOW_USE = 0,
	FLOW_NEW = 1,  /* over: the packet begins a new one */
	FLOW_FULL = 2, /* could not be promoted */
};

/* Would a new flow find anybody? With nobody at all an old one is left where it is. */
static __always_inline int has_other_backend(const struct work *w, const struct ct_flow *f)
{
	const struct ct_tuple *t = &w->pkt.tuple;
	struct lb_address *address = bpf_map_lookup_elem(&lb_addresses, &t->dst);
	struct lb_frontend *fe = NULL;

	/* The second pair goes where the first leads: its own address is no service's. */
	if (f->flags & CT_F_MIDDLE)
		return 0;
	if (address)
		fe = lookup_frontend(&t->dst, t->dport, t->proto, address->flags);
	return !fe || LB_RUN_COUNT(f->flags & CT_F_EXTERNAL ? fe->external : fe->internal);
}

/* A UDP flow stays while its backend serves; TCP ends by itself. */
static __always_inline int is_flow_over(const struct work *w, const struct ct_flow *f)
{
	const struct ct_tuple *t = &w->pkt.tuple;
	struct lb_backend *b;
	__u32 state;

	if (t->proto == IPPROTO_TCP_) {
		/* A SYN on a live tuple goes to the same backend, which answers with a challenge
		 * ACK: a forged SYN tears nothing down.
		 */
		if ((w->pkt.tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
			return 0;
		return is_closing(f) ||
		       !(backend_state(f->backend_id, f->backend_generation, &b) & BACKEND_F_ALIVE);
	}
	state = backend_state(f->backend_id, f->backend_generation, &b);
	if (t->proto == IPPROTO_SCTP_ && w->pkt.sctp_chunk != SCTP_INIT)
		return 0; /* an association ends by itself, like TCP */
	return (!(state & BACKEND_F_SERVING) && has_other_backend(w, f)) ||
	       is_expired(t, f, now_ns());
}

/* Is this the client's acknowledgement of the backend's SYN-ACK? A flood cannot know the number. */
static __always_inline int is_handshake_done(const struct work *w, const struct ct_flow *f)
{
	return w->pkt.tuple.proto == IPPROTO_TCP_ &&
	       (f->flags & (CT_F_ESTABLISHED | CT_F_SEEN_SYNACK)) == CT_F_SEEN_SYNACK &&
	       (w->pkt.tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK &&
	       bpf_ntohl(w->pkt.tcp_ack) - f->ack_next < 65536;
}

/* Promotes when this packet ends the handshake; *f becomes the established entry. */
static __always_inline enum flow_verdict check_handshake(struct work *w, struct ct_flow **f)
{
	if (!is_handshake_done(w, *f))
		return FLOW_USE;
	if (promote(*f))
		return FLOW_FULL;
	if (!setting(SETTING_READ_ONLY))
		*f = bpf_map_lookup_elem(&ct_flows, &w->pkt.tuple);
	return FLOW_USE;
}

static __always_inline enum flow_verdict check_original(struct work *w, struct ct_flow **f)
{
	if (is_flow_over(w, *f)) {
		delete_pair(w, &w->pkt.tuple, *f);
		return FLOW_NEW;
	}
	return check_handshake(w, f);
}

/* The backend's SYN-ACK, or its first answer to a connection picked up midway: the original
 * direction remembers which number acknowledges it.
 */
static __always_inline void note_synack(struct work *w, const struct ct_flow *f)
{
	int is_synack = (w->pkt.tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
	struct ct_flow *original;

	if (w->pkt.tuple.proto != IPPROTO_TCP_ || setting(SETTING_READ_ONLY) ||
	    (f->flags & CT_F_ESTABLISHED) || (w->pkt.tcp_flags & TCP_RST))
		return;
	if (!is_synack && !(f->flags & CT_F_MIDSTREAM))
		return;
	w->reply = f->peer;
	original = bpf_map_lookup_elem(&ct_half_open, &w->reply);
	if (!original || !is_same_tuple(&original->peer, &w->pkt.tuple) ||
	    (!is_synack && (original->flags & CT_F_SEEN_SYNACK)))
		return;
	original->ack_next = bpf_ntohl(w->pkt.tcp_seq) + is_synack;
	__sync_fetch_and_or(&original->flags, CT_F_SEEN_SYNACK);
}

/* A SYN-ACK for a flow that has ended answers somebody else, who has got the port since: a rule of
 * netfilter (MASQUERADE --random-fully takes any) or a socket of this node.
 */
static __always_inline int is_anothers_reply(const struct work *w, const struct ct_flow *f)
{
	return w->pkt.tuple.proto == IPPROTO_TCP_ && w->pkt.has_l4 &&
	       (w->pkt.tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) && is_closing(f) &&
	       /* In a handshake anybody can forge a RST: it must not turn the answer away. */
	       (f->flags & CT_F_ESTABLISHED);
}

/* The second pair waits for what the stack lets through under the client's address. Where a
 * MASQUERADE rule was first, its port is idle and not ours to restore.
 */
static __always_inline int is_middle_unused(const struct ct_flow *f)
{
	return (f->flags & (CT_F_MIDDLE | CT_F_MIDDLE_USED)) == CT_F_MIDDLE;
}

static __always_inline void note_middle_used(struct work *w, struct ct_flow *f)
{
	struct ct_flow *peer = lookup_peer(w, &w->pkt.tuple, f);

	if (setting(SETTING_READ_ONLY))
		return;
	__sync_fetch_and_or(&f->flags, CT_F_MIDDLE_USED);
	if (peer)
		__sync_fetch_and_or(&peer->flags, CT_F_MIDDLE_USED);
}

/* Is a reply that comes from there restored where it arrives? Backends of flows past the stack are
 * never pods of this node: a pod that answers for one has forged the address.
 */
static __always_inline int is_restored_here(const struct ct_flow *f, enum origin origin)
{
	return (f->flags & CT_F_RESTORE_INGRESS) && !is_middle_unused(f) &&
	       (origin == ORIGIN_WIRE || !(f->flags & CT_F_PAST_STACK));
}

/* Does the packet open something: a SYN, a SCTP INIT, any datagram? */
static __always_inline int is_opening(const struct pkt *p)
{
	if (p->tuple.proto == IPPROTO_TCP_)
		return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return p->tuple.proto != IPPROTO_SCTP_ || p->sctp_chunk == SCTP_INIT;
}

/* Who may be the client of this flow's original direction: an address alone proves nothing, since
 * a pod or an outside host can forge one.
 */
static __always_inline int is_from_its_client(const struct ct_flow *f, enum origin origin,
					      __u32 ifindex)
{
	if (origin == ORIGIN_POD)
		return (f->flags & CT_F_FROM_POD) && f->ingress_ifindex == ifindex;
	if (origin == ORIGIN_WIRE)
		return !!(f->flags & CT_F_FROM_WIRE);
	return !(f->flags & (CT_F_FROM_POD | CT_F_FROM_WIRE));
}

/* Another client has the tuple of f now: may it have the flow? Not while somebody uses it, or one
 * forged packet would take it away. A pod that is gone leaves its flows behind, and its address.
 */
static __always_inline int is_given_up(const struct ct_flow *f)
{
	__u32 ifindex = f->ingress_ifindex;

	if ((f->flags & CT_F_FROM_POD) && !bpf_map_lookup_elem(&lb_devices, &ifindex))
		return 1;
	return !(f->flags & CT_F_ESTABLISHED) && is_idle(f, now_ns(), 2 * TOUCH_INTERVAL_NS);
}
