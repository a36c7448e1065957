/* SPDX-License-Identifier: GPL-2.0 */
/* What a packet leaves in its flow: counts, times, and whether the connection ends. */
#pragma once
#include "reclaim.h"

#define FIN_WINDOW (1u << 30) /* no receive window is larger (RFC 7323) */
#define RST_WINDOW (1u << 24)

/* Is a FIN or RST near what the other side last said it expects? RFC 5961 wants a receiver to take
 * a RST at exactly that number; bytes in flight make us see it further on, and an ending that is
 * not believed would keep its tuple for hours. What a forger gains is little: both sides' FINs, or
 * a RST with nothing behind it, make us forget a connection that has been idle for a minute (two
 * seconds in a full table).
 */
static __always_inline int is_ending_plausible(const struct work *w, const struct ct_flow *f,
					       const struct ct_flow *peer)
{
	if (!(f->flags & CT_F_ESTABLISHED))
		return 1;
	return peer && bpf_ntohl(w->pkt.tcp_seq) - peer->ack_next <
			   (w->pkt.tcp_flags & TCP_RST ? RST_WINDOW : FIN_WINDOW);
}

/* FIN and RST are seen on one direction but concern both entries. A RST counts until either side
 * goes on as if nothing had happened.
 */
static __always_inline void mark_closing(struct work *w, const struct ct_tuple *t,
					 struct ct_flow *f)
{
	__u32 set = 0, clear = 0, was_closing = is_closing(f);
	struct ct_flow *peer;

	if (w->pkt.tcp_flags & TCP_FIN)
		set |= t->dir == CT_REPLY ? CT_F_FIN_REPLY : CT_F_FIN_ORIGINAL;
	if (w->pkt.tcp_flags & TCP_RST)
		set |= CT_F_RST;
	else
		clear = CT_F_RST;
	if ((f->flags & set) == set && !(f->flags & clear))
		return;
	peer = lookup_peer(w, t, f);
	if (set && !is_ending_plausible(w, f, peer))
		return;
	/* Both sides may end at once, on two CPUs. */
	__sync_fetch_and_or(&f->flags, set);
	__sync_fetch_and_and(&f->flags, ~clear);
	if (peer) {
		__sync_fetch_and_or(&peer->flags, set);
		__sync_fetch_and_and(&peer->flags, ~clear);
	}
	/* lookup_peer() has left the other key in w->reply. */
	if (!was_closing && is_closing(f) && (f->flags & CT_F_ESTABLISHED))
		note_closed(t->dir == CT_REPLY ? &w->reply : t);
}

/* An LRU may drop one half of a pair: makes the other half again if it is gone. < 0 when another
 * flow has its key.
 */
static __always_inline int restore_peer(struct work *w, const struct ct_tuple *t, struct ct_flow *f)
{
	if (lookup_peer(w, t, f) || setting(SETTING_READ_ONLY))
		return 0;
	w->other = *f;
	w->other.peer = *t;
	w->other.next_hop.ifindex = 0;
	return insert_flow(&w->reply, &w->other, BPF_NOEXIST);
}

/* Once a second the other half is looked at, which also keeps it young. */
static __always_inline void keep_peer(struct work *w, const struct ct_tuple *t, struct ct_flow *f)
{
	struct ct_flow *peer = lookup_peer(w, t, f);

	if (peer) {
		/* Traffic of one direction keeps both. */
		peer->last_seen_ns = f->last_seen_ns;
		if (t->dir == CT_REPLY)
			__sync_fetch_and_or(&peer->flags, CT_F_SEEN_REPLY);
		return;
	}
	if (f->flags & CT_F_ESTABLISHED)
		return;
	/* Another flow has the key: this one is over, and the next packet begins anew. */
	if (restore_peer(w, t, f))
		f->last_seen_ns = 1;
}

/* f: the entry of w->pkt.tuple. */
__noinline int touch_flow(struct ct_flow *f)
{
	struct work *w = get_work();

	if (!w || !f)
		return 0;
	const struct ct_tuple *t = &w->pkt.tuple;
	__u64 now;

	if (setting(SETTING_READ_ONLY))
		return 0;
	now = now_ns();
	f->packets++;
	f->bytes += w->pkt.l3_len;
	if (t->proto == IPPROTO_TCP_ && w->pkt.has_l4) {
		mark_closing(w, t, f);
		if ((f->flags & CT_F_ESTABLISHED) && (w->pkt.tcp_flags & TCP_ACK))
			f->ack_next = bpf_ntohl(w->pkt.tcp_ack);
	}
	/* The shared cache line is written once a second and not once a packet. */
	if (!is_idle(f, now, TOUCH_INTERVAL_NS) &&
	    (t->dir != CT_REPLY || (f->flags & CT_F_SEEN_REPLY)))
		return 0;
	f->last_seen_ns = now;
	if (t->dir == CT_REPLY)
		__sync_fetch_and_or(&f->flags, CT_F_SEEN_REPLY);
	keep_peer(w, t, f);
	return 0;
}
