/* SPDX-License-Identifier: GPL-2.0 */
/* ICMP: echo requests to service addresses, and errors about translated packets. */
#pragma once
#include "../nat/icmp_echo.h"
#include "../nat/icmp_error.h"
#include "out.h"
#include "reply.h"

enum side {
	SIDE_WIRE_IN = 0,
	SIDE_OUT = 1, /* replies are restored on their way out */
	SIDE_POD_IN = 2,
};

/* An ICMP error about a translated flow goes the way of the flow. */
__noinline int handle_icmp(struct __sk_buff *skb, enum side side)
{
	int is_egress = side == SIDE_OUT;
	struct work *w = get_work();

	if (!w)
		return TC_NEXT;
	struct addr_pair outer, now;
	struct icmp_error e = {};
	struct ct_flow *f;
	__u32 flags;
	long rc;

	if (!is_egress || !skb->ingress_ifindex) {
		rc = answer_echo(skb, w);
		if (rc < 0)
			return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, 0);
		if (rc) {
			count_path(PATH_ECHO, w->pkt.l3_len);
			return send_back(skb, w, is_egress);
		}
	}
	if (parse_icmp_error(skb, w, &e, &outer))
		return TC_NEXT;
	w->pkt.tuple.dir = CT_REPLY;
	f = lookup_flow(&w->pkt.tuple);
	if (f && !!(f->flags & CT_F_RESTORE_INGRESS) == is_egress)
		f = NULL;
	if (f && !is_egress && !is_restored_here(f, side == SIDE_POD_IN ? ORIGIN_POD : ORIGIN_WIRE))
		return TC_NEXT;
	if (!f) {
		if (is_egress && !setting(SETTINGS_WITH_MIDDLE))
			return TC_NEXT;
		w->pkt.tuple.dir = is_egress ? CT_MIDDLE : CT_ORIGINAL;
		f = lookup_flow(&w->pkt.tuple);
		if (!f)
			return TC_NEXT;
	}
	flags = f->flags;
	w->reply = f->peer;
	/* From the far end itself, or from a router on the way, which keeps its address. */
	now.src = addr_equal(&outer.src, &e.inner_dst) ? w->reply.dst : outer.src;
	now.dst = w->reply.src;
	if (xlate_icmp_error(skb, w, &e, &outer, &now))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	count_path(PATH_ICMP_ERROR, w->pkt.l3_len);
	if (flags & CT_F_PAST_STACK) {
		rc = lookup_route(skb, w, skb->ifindex, &now.src, &now.dst);
		if (rc != BPF_FIB_LKUP_RET_SUCCESS && rc != BPF_FIB_LKUP_RET_NO_NEIGH)
			return drop_skb(skb, w, DROP_REASON_NO_ROUTE, f->service_id);
		return redirect_routed(skb, w, w->fib.ifindex);
	}
	if (flags & CT_F_HAIRPIN)
		return swap_macs_skb(skb, &w->pkt) ? TC_SHOT : bpf_redirect(skb->ifindex, 0);
	return TC_NEXT;
}
