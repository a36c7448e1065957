/* SPDX-License-Identifier: GPL-2.0 */
/* Flow tables. TCP is half-open (an LRU that a flood may churn) until the client has acknowledged
 * the backend's SYN-ACK, then established (a plain hash that the kernel never evicts). Everything
 * else lives in ct_any.
 */
#pragma once
#include "../maps/scratch.h"

#define UDP_TIMEOUT_NS        (60 * NSEC_PER_SEC)
#define UDP_STREAM_TIMEOUT_NS (120 * NSEC_PER_SEC)
#define SCTP_TIMEOUT_NS       (210 * NSEC_PER_SEC) /* heartbeats come every 30 s */
#define TOUCH_INTERVAL_NS     NSEC_PER_SEC

static __always_inline struct ct_flow *lookup_half_open(const struct ct_tuple *t)
{
	struct ct_flow *f = bpf_map_lookup_elem(&ct_half_open, t);

	/* Promotion inserts there before it deletes here: look once more. */
	return f ? f : bpf_map_lookup_elem(&ct_flows, t);
}

static __always_inline struct ct_flow *lookup_flow(const struct ct_tuple *t)
{
	struct ct_flow *f;

	if (t->proto != IPPROTO_TCP_)
		return bpf_map_lookup_elem(&ct_any, t);
	f = bpf_map_lookup_elem(&ct_flows, t);
	return f ? f : lookup_half_open(t);
}

static __always_inline long insert_flow(const struct ct_tuple *t, const struct ct_flow *f,
					__u64 flags)
{
	if (t->proto != IPPROTO_TCP_)
		return bpf_map_update_elem(&ct_any, t, f, flags);
	return bpf_map_update_elem(&ct_half_open, t, f, flags);
}

static __always_inline void delete_flow(const struct ct_tuple *t)
{
	if (t->proto != IPPROTO_TCP_) {
		bpf_map_delete_elem(&ct_any, t);
		return;
	}
	bpf_map_delete_elem(&ct_half_open, t);
	bpf_map_delete_elem(&ct_flows, t);
}

static __always_inline int is_same_tuple(const struct ct_tuple *a, const struct ct_tuple *b)
{
	return addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst) &&
	       a->sport == b->sport && a->dport == b->dport && a->proto == b->proto &&
	       a->dir == b->dir;
}

/* Both directions; w->reply is overwritten with the peer's key. */
static __always_inline void delete_pair(struct work *w, const struct ct_tuple *t,
					const struct ct_flow *f)
{
	struct ct_flow *peer;

	if (setting(SETTING_READ_ONLY))
		return;
	w->reply = f->peer;
	peer = lookup_flow(&w->reply);
	/* Unless it was given to another flow meanwhile. */
	if (peer && is_same_tuple(&peer->peer, t))
		delete_flow(&w->reply);
	delete_flow(t);
}

static __always_inline int is_expired(const struct ct_tuple *t, const struct ct_flow *f, __u64 now)
{
	__u64 limit = UDP_TIMEOUT_NS;

	if (f->flags & CT_F_SEEN_REPLY)
		limit = t->proto == IPPROTO_SCTP_ ? SCTP_TIMEOUT_NS : UDP_STREAM_TIMEOUT_NS;

	return t->proto != IPPROTO_TCP_ && now > f->last_seen_ns && now - f->last_seen_ns > limit;
}

static __always_inline int is_closing(const struct ct_flow *f)
{
	return (f->flags & CT_F_RST) || (f->flags & (CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY)) ==
					    (CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY);
}

/* May w->reply be given to w->pkt.tuple although there is an entry? Yes when that entry is this
 * flow's own (another CPU was first, or an LRU dropped the original half), or is over.
 */
static __always_inline int is_reply_ours(struct work *w, const struct ct_flow *owner)
{
	return is_same_tuple(&owner->peer, &w->pkt.tuple) || is_closing(owner) ||
	       is_expired(&w->reply, owner, bpf_ktime_get_ns());
}

/* w->reply is taken from a flow that is over: its other half must not use or delete it any more. */
static __always_inline void evict_owner(struct work *w, const struct ct_flow *owner)
{
	if (is_same_tuple(&owner->peer, &w->pkt.tuple))
		return;
	w->other.peer = owner->peer;
	delete_flow(&w->other.peer);
}

/* Writes the pair w->pkt.tuple <-> w->reply. The reply key goes first with NOEXIST: that is the
 * reservation of the tuple (and of a SNAT port). Returns 0, -1 when the reply tuple is taken, -2
 * when a table is full.
 */
static __always_inline int create_pair(struct work *w)
{
	struct ct_flow *owner;
	long err;

	w->flow.peer = w->reply;
	if (setting(SETTING_READ_ONLY))
		return 0;
	/* A live established flow may own the tuple while ct_half_open has no trace of it. */
	if (w->reply.proto == IPPROTO_TCP_) {
		owner = bpf_map_lookup_elem(&ct_flows, &w->reply);
		if (owner) {
			if (!is_reply_ours(w, owner))
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
	if (err == -17 /* EEXIST */) {
		owner = lookup_flow(&w->reply);
		if (owner && !is_reply_ours(w, owner))
			return -1;
		if (owner)
			evict_owner(w, owner);
		w->other.peer = w->pkt.tuple;
		err = insert_flow(&w->reply, &w->other, BPF_ANY);
	}
	if (err)
		return -2;
	err = insert_flow(&w->pkt.tuple, &w->flow, BPF_ANY);
	if (err) {
		delete_flow(&w->reply);
		return -2;
	}
	return 0;
}

/* Moves a half-open pair into ct_flows. t, f: the original direction. Returns 0, or -1 when the
 * table is full.
 */
static __always_inline int promote(struct work *w, const struct ct_tuple *t,
				   const struct ct_flow *f)
{
	struct ct_flow *reply;

	if (setting(SETTING_READ_ONLY))
		return 0;
	w->reply = f->peer;
	w->flow = *f;
	w->flow.flags |= CT_F_ESTABLISHED | CT_F_SEEN_REPLY;
	reply = bpf_map_lookup_elem(&ct_half_open, &w->reply);
	if (reply) {
		w->other = *reply;
	} else {
		/* The LRU dropped this half: the original knows all that it needs. */
		w->other = *f;
		w->other.peer = *t;
		w->other.next_hop.ifindex = 0;
	}
	w->other.flags |= CT_F_ESTABLISHED | CT_F_SEEN_REPLY;
	if (bpf_map_update_elem(&ct_flows, &w->reply, &w->other, BPF_ANY))
		return -1;
	if (bpf_map_update_elem(&ct_flows, t, &w->flow, BPF_ANY)) {
		bpf_map_delete_elem(&ct_flows, &w->reply);
		return -1;
	}
	bpf_map_delete_elem(&ct_half_open, &w->reply);
	bpf_map_delete_elem(&ct_half_open, t);
	return 0;
}

/* FIN and RST are seen on one direction but concern both entries. A RST may be forged: it counts
 * until either side goes on as if nothing had happened.
 */
static __always_inline void mark_closing(struct work *w, struct ct_flow *f, __u8 tcp_flags,
					 __u8 dir)
{
	__u32 set = 0, clear = 0;
	struct ct_flow *peer;

	if (tcp_flags & TCP_FIN)
		set |= dir == CT_REPLY ? CT_F_FIN_REPLY : CT_F_FIN_ORIGINAL;
	if (tcp_flags & TCP_RST)
		set |= CT_F_RST;
	else
		clear = CT_F_RST;
	if ((f->flags & set) == set && !(f->flags & clear))
		return;
	f->flags = (f->flags | set) & ~clear;
	w->reply = f->peer;
	peer = lookup_flow(&w->reply);
	if (peer)
		peer->flags = (peer->flags | set) & ~clear;
}

/* An LRU may drop one half of a pair. Once a second the other half is looked at (which also keeps
 * it young) and made again if it is gone.
 */
static __always_inline void keep_peer(struct work *w, const struct ct_tuple *t,
				      const struct ct_flow *f)
{
	struct ct_flow *peer;

	w->reply = f->peer;
	peer = lookup_flow(&w->reply);
	if (peer) {
		/* Traffic of one direction keeps both. */
		peer->last_seen_ns = f->last_seen_ns;
		if (t->dir == CT_REPLY)
			peer->flags |= CT_F_SEEN_REPLY;
		return;
	}
	if (f->flags & CT_F_ESTABLISHED)
		return;
	w->other = *f;
	w->other.peer = *t;
	w->other.next_hop.ifindex = 0;
	insert_flow(&w->reply, &w->other, BPF_NOEXIST);
}

static __always_inline void touch_flow(struct work *w, const struct ct_tuple *t, struct ct_flow *f)
{
	__u64 now;

	if (setting(SETTING_READ_ONLY))
		return;
	now = bpf_ktime_get_ns();
	f->packets++;
	f->bytes += w->pkt.l3_len;
	if (t->proto == IPPROTO_TCP_)
		mark_closing(w, f, w->pkt.tcp_flags, t->dir);
	/* The shared cache line is written once a second and not once a packet. */
	if (now - f->last_seen_ns < TOUCH_INTERVAL_NS &&
	    (t->dir != CT_REPLY || (f->flags & CT_F_SEEN_REPLY)))
		return;
	f->last_seen_ns = now;
	if (t->dir == CT_REPLY)
		f->flags |= CT_F_SEEN_REPLY;
	keep_peer(w, t, f);
}
