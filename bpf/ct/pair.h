/* SPDX-License-Identifier: GPL-2.0 */
/* Making a pair of entries, and moving it from half-open to established. */
#pragma once
#include "reclaim.h"

#define E2BIG_  7
#define EEXIST_ 17

/* May w->reply be given to w->pkt.tuple although there is an entry? Yes when that entry is this
 * flow's own (another CPU was first, or an LRU dropped the original half), or is over. A second
 * pass over the ports is less patient with what is nearly over.
 */
static __always_inline int is_reply_free(struct work *w, const struct ct_flow *owner,
					 int second_pass)
{
	__u64 now = now_ns();

	if (is_same_tuple(&owner->peer, &w->pkt.tuple))
		return 1;
	if (w->reply.proto != IPPROTO_TCP_)
		return is_expired(&w->reply, owner, now);
	if (is_closing(owner))
		return second_pass || is_idle(owner, now, CLOSING_TIMEOUT_NS);
	/* From its creation: a backend's SYN-ACK, repeated, would keep a flood's flows young. */
	return !(owner->flags & CT_F_ESTABLISHED) && now > owner->created_ns &&
	       now - owner->created_ns > (second_pass ? NSEC_PER_SEC : HALF_OPEN_TIMEOUT_NS);
}

/* w->reply is taken from a flow that is over: its other half must not use or delete it any more. */
static __always_inline void evict_owner(struct work *w, const struct ct_flow *owner)
{
	struct ct_flow *other;

	if (is_same_tuple(&owner->peer, &w->pkt.tuple))
		return;
	w->other.peer = owner->peer;
	other = lookup_flow(&w->other.peer);
	/* It may have been made anew with another reply tuple. */
	if (other && is_same_tuple(&other->peer, &w->reply))
		delete_flow(&w->other.peer);
}

/* Writes the pair w->pkt.tuple <-> w->reply. The reply key goes first with NOEXIST: that is the
 * reservation of the tuple (and of a SNAT port). Returns 0, -1 when the reply tuple is taken, -2
 * when a table is full.
 */
__noinline int create_pair(int second_pass)
{
	struct work *w = get_work();

	if (!w)
		return -2;
	int is_tcp = w->reply.proto == IPPROTO_TCP_;
	struct ct_flow *owner;
	int err;

	w->flow.peer = w->reply;
	if (setting(SETTING_READ_ONLY))
		return 0;
	/* A live established flow may own the tuple while ct_half_open has no trace of it. */
	if (is_tcp) {
		owner = bpf_map_lookup_elem(&ct_flows, &w->reply);
		if (owner) {
			if (!is_reply_free(w, owner, second_pass))
				return -1;
			evict_owner(w, owner);
			bpf_map_delete_elem(&ct_flows, &w->reply);
		}
	}
	w->other = w->flow;
	w->other.peer = w->pkt.tuple;
	w->other.next_hop.ifindex = 0;
	w->other.packets = 0;
	w->other.bytes = 0;
	err = insert_flow(&w->reply, &w->other, BPF_NOEXIST);
	if (err == -EEXIST_) {
		owner = lookup_flow(&w->reply);
		if (owner && !is_reply_free(w, owner, second_pass))
			return -1;
		if (owner)
			evict_owner(w, owner);
		w->other.peer = w->pkt.tuple;
		err = insert_flow(&w->reply, &w->other, BPF_ANY);
	}
	if (err)
		return -2;
	/* Was the tuple promoted by another flow between the two looks? */
	if (is_tcp && bpf_map_lookup_elem(&ct_flows, &w->reply)) {
		bpf_map_delete_elem(&ct_half_open, &w->reply);
		return -1;
	}
	err = insert_flow(&w->pkt.tuple, &w->flow, BPF_ANY);
	if (err) {
		delete_flow(&w->reply);
		return -2;
	}
	return 0;
}

/* Inserts into ct_flows unless the key is another flow's. */
static __always_inline int establish(const struct ct_tuple *t, const struct ct_flow *f)
{
	struct ct_flow *there;
	int err = bpf_map_update_elem(&ct_flows, t, f, BPF_NOEXIST); /* int: see insert_flow() */

	if (err == -E2BIG_) {
		reclaim_flows();
		/* Also when it found nothing: another CPU may have made the room. */
		err = bpf_map_update_elem(&ct_flows, t, f, BPF_NOEXIST);
	}
	if (!err)
		return 0;
	there = bpf_map_lookup_elem(&ct_flows, t);
	return there && is_same_tuple(&there->peer, &f->peer) ? 0 : -1;
}

/* Moves a half-open pair into ct_flows. f: the original direction, w->pkt the client's ACK.
 * Returns 0, or -1 when the table is full or the reply tuple is another flow's by now.
 */
__noinline int promote(const struct ct_flow *f)
{
	struct work *w = get_work();

	if (!w || !f)
		return -1;
	const struct ct_tuple *t = &w->pkt.tuple;
	struct ct_flow *reply;

	if (setting(SETTING_READ_ONLY))
		return 0;
	w->flow = *f;
	w->reply = w->flow.peer;
	w->flow.flags |= CT_F_ESTABLISHED | CT_F_SEEN_REPLY;
	w->flow.ack_next = bpf_ntohl(w->pkt.tcp_ack);
	reply = bpf_map_lookup_elem(&ct_half_open, &w->reply);
	if (reply) {
		if (!is_same_tuple(&reply->peer, t))
			return -1;
		w->other = *reply;
	} else {
		/* The LRU dropped this half: the original knows all that it needs. */
		w->other = w->flow;
		w->other.peer = *t;
		w->other.next_hop.ifindex = 0;
	}
	w->other.flags |= CT_F_ESTABLISHED | CT_F_SEEN_REPLY;
	w->other.ack_next = bpf_ntohl(w->pkt.tcp_seq);
	if (establish(&w->reply, &w->other))
		return -1;
	if (establish(t, &w->flow)) {
		bpf_map_delete_elem(&ct_flows, &w->reply);
		return -1;
	}
	bpf_map_delete_elem(&ct_half_open, &w->reply);
	bpf_map_delete_elem(&ct_half_open, t);
	return 0;
}
