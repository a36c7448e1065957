/* SPDX-License-Identifier: GPL-2.0 */
/* Flow tables. TCP is half-open (an LRU that a flood may churn) until the client has acknowledged
 * the backend's SYN-ACK, then established (a plain hash that the kernel never evicts). Everything
 * else lives in ct_any.
 */
#pragma once
#include "../maps/scratch.h"

/* Four milliseconds are fine enough for every time-out here, and much cheaper to read. */
#define now_ns() bpf_ktime_get_coarse_ns()

#define UDP_TIMEOUT_NS        (60 * NSEC_PER_SEC)
#define UDP_STREAM_TIMEOUT_NS (120 * NSEC_PER_SEC)
#define SCTP_TIMEOUT_NS       (210 * NSEC_PER_SEC) /* heartbeats come every 30 s */
#define HALF_OPEN_TIMEOUT_NS  (10 * NSEC_PER_SEC)  /* a reply tuple is not kept longer for it */
#define CLOSING_TIMEOUT_NS    (60 * NSEC_PER_SEC)  /* TIME_WAIT of the backend */
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

/* The key under which the answers to a packet with the ends of t come by. */
static __always_inline void write_reply_key(struct ct_tuple *key, const struct ct_tuple *t)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->src = t->dst;
	key->dst = t->src;
	key->sport = t->dport;
	key->dport = t->sport;
	key->proto = t->proto;
	key->dir = CT_REPLY;
}

/* Returns an int: before Linux 6.4 the JIT calls the map's own function, which returns one, and the
 * upper half of its negative error numbers is 0.
 */
static __always_inline int insert_flow(const struct ct_tuple *t, const struct ct_flow *f,
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

static __always_inline int is_idle(const struct ct_flow *f, __u64 now, __u64 limit)
{
	return now > f->last_seen_ns && now - f->last_seen_ns > limit;
}

static __always_inline int is_expired(const struct ct_tuple *t, const struct ct_flow *f, __u64 now)
{
	__u64 limit = UDP_TIMEOUT_NS;

	if (f->flags & CT_F_SEEN_REPLY)
		limit = t->proto == IPPROTO_SCTP_ ? SCTP_TIMEOUT_NS : UDP_STREAM_TIMEOUT_NS;
	return t->proto != IPPROTO_TCP_ && is_idle(f, now, limit);
}

static __always_inline int is_closing(const struct ct_flow *f)
{
	return (f->flags & CT_F_RST) || (f->flags & (CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY)) ==
					    (CT_F_FIN_ORIGINAL | CT_F_FIN_REPLY);
}

/* Nothing moves on it any more; it only keeps its tuple. */
static __always_inline int is_left_over(const struct ct_tuple *t, const struct ct_flow *f)
{
	return is_closing(f) || is_expired(t, f, now_ns());
}

/* The other half of a pair, unless an LRU dropped it or its key belongs to another flow by now.
 * Leaves its key in w->reply.
 */
static __always_inline struct ct_flow *lookup_peer(struct work *w, const struct ct_tuple *t,
						   const struct ct_flow *f)
{
	struct ct_flow *peer;

	w->reply = f->peer;
	peer = lookup_flow(&w->reply);
	return peer && is_same_tuple(&peer->peer, t) ? peer : NULL;
}
