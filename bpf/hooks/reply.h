/* SPDX-License-Identifier: GPL-2.0 */
/* What leaves towards a client, and what the stack sends on with another source. */
#pragma once
#include "../ct/direct.h"
#include "out.h"

/* The second half of a flow through the stack: its source becomes this node's at egress. */
__noinline int handle_middle(struct __sk_buff *skb)
{
	struct work *w = get_work();

	if (!w)
		return TC_NEXT;
	struct ct_flow *f;

	w->pkt.tuple.dir = CT_MIDDLE;
	f = lookup_flow(&w->pkt.tuple);
	if (!f || is_handed_over(w->pkt.tuple.proto))
		return TC_NEXT;
	/* A pair of an earlier flow: what begins now without SNAT has none of its own to replace
	 * it. */
	if (is_flow_over(w, f)) {
		delete_pair(w, &w->pkt.tuple, f);
		return TC_NEXT;
	}
	if (check_handshake(w, &f) == FLOW_FULL)
		return drop_skb(skb, w, DROP_REASON_FLOW_TABLE_FULL, f->service_id);
	if (!f)
		return TC_NEXT;
	if (!(f->flags & CT_F_MIDDLE_USED))
		note_middle_used(w, f);
	touch_flow(f);
	w->reply = f->peer;
	if (is_sctp_fragment(&w->pkt, f))
		return drop_skb(skb, w, DROP_REASON_SCTP_FRAGMENT, f->service_id);
	/* The client's edge knows them by the service's address, here it is the backend's. */
	if (w->pkt.more_frags && w->pkt.has_l4)
		remember_fragment(&w->pkt);
	if (xlate_skb(skb, &w->pkt, &w->reply))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	count_path(PATH_MIDDLE, w->pkt.l3_len);
	return TC_NEXT;
}

/* A reply on its way to the client. Returns TC_NEXT and *is_reply = 0 when it is none. */
static __always_inline int handle_reply(struct __sk_buff *skb, struct work *w, int *is_reply)
{
	struct ct_flow *f;

	*is_reply = 0;
	if (!w->pkt.has_l4 && lookup_fragment(&w->pkt))
		return TC_NEXT;
	w->pkt.tuple.dir = CT_REPLY;
	f = lookup_flow(&w->pkt.tuple);
	if (!f || (f->flags & CT_F_RESTORE_INGRESS))
		return setting(SETTINGS_WITH_MIDDLE) ? handle_middle(skb) : TC_NEXT;
	*is_reply = 1;
	return restore_skb(skb, f);
}

/* A connection that the stack has masqueraded leaves with a port that a flow of ours has: that of
 * the backend is taken. While the flow lives, the rule chooses another when the client repeats its
 * SYN, if nf_conntrack has forgotten this choice. A flow that has ended gives way: its backend may
 * remember the port longer, and what it answers then is the stack's. UDP needs no such thing: see
 * is_masquerades_port().
 */
__noinline int handle_masqueraded(struct __sk_buff *skb)
{
	struct work *w = get_work();
	struct ct_tuple *t, *key;
	struct ct_flow *f;

	if (!w)
		return TC_NEXT;
	t = &w->pkt.tuple;
	key = &w->saved;
	write_reply_key(key, t);
	f = lookup_flow(key);
	if (!f ||
	    !(f->flags & (CT_F_PAST_STACK | CT_F_MIDDLE_USED | CT_F_NODE_CLIENT | CT_F_DIRECT)))
		return TC_NEXT;
	if (!(ask_nf_conntrack(skb, NULL, key, is_closing(f) ? 0 : NF_IPS_SRC_NAT | NF_IS_REPLY) &
	      NF_IPS_SRC_NAT))
		return TC_NEXT;
	if (is_closing(f)) {
		delete_pair(w, key, f);
		return TC_NEXT;
	}
	return drop_skb(skb, w, DROP_REASON_TUPLE_TAKEN, f->service_id);
}
