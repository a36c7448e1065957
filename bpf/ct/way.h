/* SPDX-License-Identifier: GPL-2.0 */
/* How a new flow goes: handed up, through the stack with SNAT, or past it. */
#pragma once
#include "check.h"
#include "../net/fib.h"
#include "snat.h"

/* XDP: does the way out take frames from this device's XDP program? */
static __always_inline int can_transmit(__u32 in, __u32 out)
{
	return in == out || bpf_map_lookup_elem(&xdp_devices, &out);
}

static __always_inline int is_masqueraded(const struct lb_frontend *fe, int is_internal,
					  __u32 origin)
{
	if (fe->type == FRONTEND_CLUSTER_IP)
		return setting(SETTING_MASQUERADE_ALL);
	if (!setting(SETTING_MASQUERADE_EXTERNAL))
		return 0;
	/* Local policy keeps the source, for pods of this node too. */
	return !(fe->flags & FRONTEND_F_EXTERNAL_LOCAL);
}

/* Decides the way of a new flow from where the backend is routed to. Returns 0 or a drop reason.
 * Sets w->flow.flags, w->flow.next_hop, w->reply.dst and w->needs_middle with w->snat_source.
 */
static __always_inline int choose_way(void *ctx, struct work *w, const struct lb_frontend *fe,
				      int is_internal)
{
	__u32 origin = w->origin, class_;
	int is_local;
	long rc;

	w->needs_middle = 0;
	if (origin == ORIGIN_NODE) {
		w->flow.flags |= CT_F_NODE_CLIENT | CT_F_RESTORE_INGRESS;
		return 0;
	}
	if (origin == ORIGIN_POD) {
		if (addr_equal(&w->choice.addr, &w->pkt.tuple.src)) {
			w->flow.flags |= CT_F_HAIRPIN | CT_F_RESTORE_INGRESS;
			if (w->pkt.is_v4)
				setting_addr(&w->reply.dst, &settings.hairpin4);
			else
				setting_addr(&w->reply.dst, &settings.hairpin6);
			return 0;
		}
		if (!is_masqueraded(fe, is_internal, origin)) {
			if (bridge_of(w->ifindex))
				w->flow.flags |= CT_F_BRIDGE_PORT;
			return 0;
		}
	}
	/* Local policy keeps the source whatever the way is. */
	if ((fe->flags & FRONTEND_F_EXTERNAL_LOCAL) && !is_internal)
		return 0;
	rc = lookup_route(ctx, w, w->ifindex, &w->pkt.tuple.src, &w->choice.addr);
	/* The node itself is the backend; the kernel says the same where there is no route at all.
	 */
	if (rc == BPF_FIB_LKUP_RET_NOT_FWDED && is_node_address(&w->choice.addr))
		return 0;
	if (rc != BPF_FIB_LKUP_RET_SUCCESS && rc != BPF_FIB_LKUP_RET_NO_NEIGH)
		return DROP_REASON_NO_ROUTE;
	class_ = device_class(w->fib.ifindex);
	is_local = class_ == DEVICE_POD || class_ == DEVICE_BRIDGE;
	if (origin == ORIGIN_POD || setting(SETTING_HOST_ROUTING_STACK) || is_local) {
		w->needs_middle = !is_local || is_masqueraded(fe, is_internal, origin);
		if (!w->needs_middle)
			return 0;
		return snat_source_of(w, w->fib.ifindex, &w->snat_source) ?
			   DROP_REASON_NO_SNAT_SOURCE :
			   0;
	}
	w->flow.flags |= CT_F_PAST_STACK | CT_F_RESTORE_INGRESS;
	if (rc == BPF_FIB_LKUP_RET_SUCCESS && class_ != DEVICE_LAYER3)
		store_next_hop(&w->flow.next_hop, &w->fib);
	return snat_source_of(w, w->fib.ifindex, &w->reply.dst) ? DROP_REASON_NO_SNAT_SOURCE : 0;
}
