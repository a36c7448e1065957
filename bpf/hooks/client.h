/* SPDX-License-Identifier: GPL-2.0 */
/* What a client sends: its flow, or a new one; and replies that are restored where they arrive. */
#pragma once
#include "../ct/create.h"
#include "../ct/direct.h"
#include "out.h"

/* Global, so that the verifier walks through the making of a flow once and not in every hook. */
__noinline int create_flow(struct __sk_buff *skb)
{
	struct work *w = get_work();

	if (!w)
		return NEW_FLOW_NOT_OURS;
	return new_flow(skb, w, 0);
}

static __always_inline int begin_flow(struct __sk_buff *skb, struct work *w, __u32 address_flags,
				      enum origin origin)
{
	w->address_flags = address_flags;
	w->origin = origin;
	w->ifindex = skb->ifindex;
	switch (create_flow(skb)) {
	case NEW_FLOW_OK:
		emit_event(w, EVENT_NEW_FLOW, 0, w->service_id, HOOK_TC_INGRESS, skb->ifindex);
		return forward_skb(skb, &w->flow);
	case NEW_FLOW_REFUSE:
		return refuse(skb, w, origin, w->service_id);
	case NEW_FLOW_DROP:
		return drop_skb(skb, w, w->reason, w->service_id);
	default:
		/* The others follow it, and are not ours either. */
		if (w->pkt.more_frags && w->pkt.has_l4)
			remember_fragment(&w->pkt);
		return TC_NEXT;
	}
}

static __always_inline int is_hairpin_address(const struct lb_addr *addr)
{
	return is_setting_addr(addr, &settings.hairpin4) ||
	       is_setting_addr(addr, &settings.hairpin6);
}

/* Straight to the backend, with another source port. */
__noinline int forward_direct(struct __sk_buff *skb, struct ct_flow *f)
{
	struct work *w = get_work();

	if (!w || !f)
		return TC_SHOT;
	count_packet(f->service_id, w->pkt.l3_len);
	if (w->pkt.more_frags && w->pkt.has_l4)
		remember_fragment(&w->pkt);
	w->reply = f->peer;
	if (xlate_skb(skb, &w->pkt, &w->reply))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	count_path(PATH_LOCAL, w->pkt.l3_len);
	return TC_NEXT;
}

/* A packet to an address that no Service has. Nearly always it is none of our business. */
__noinline int handle_direct(struct __sk_buff *skb, __u32 origin)
{
	struct work *w = get_work();

	if (!w)
		return TC_NEXT;
	struct ct_tuple *t = &w->pkt.tuple;
	struct ct_flow *f;

	if (t->proto != IPPROTO_UDP_ && !(t->proto == IPPROTO_TCP_ && is_opening(&w->pkt)))
		return TC_NEXT;
	if (t->proto == IPPROTO_UDP_) {
		/* Nearly every datagram of a pod ends here. */
		if (!lookup_rival(w, origin, skb->ifindex) || is_handed_over(t->proto))
			return TC_NEXT;
		f = bpf_map_lookup_elem(&ct_any, t);
		if (f && is_from_its_client(f, origin, skb->ifindex)) {
			touch_flow(f);
			return forward_direct(skb, f);
		}
	}
	if (!w->pkt.has_l4)
		return TC_NEXT;
	switch (new_direct_flow(skb, w, origin)) {
	case NEW_FLOW_OK:
		return forward_direct(skb, &w->flow);
	case NEW_FLOW_DROP:
		return drop_skb(skb, w, DROP_REASON_TUPLE_TAKEN, w->service_id);
	default:
		return TC_NEXT;
	}
}

/* While another load balancer takes over, its MASQUERADE may give a port away that a flow which has
 * ended still holds: then the answer is the stack's.
 */
static __noinline int is_given_back(struct __sk_buff *skb, const struct ct_tuple *t,
				    const struct ct_flow *f)
{
	return is_draining() && is_left_over(t, f) && nf_conntrack_status(skb, NULL, t);
}

/* A packet that may begin or continue the original direction, or be a reply that is restored where
 * it arrives. Everything that concerns nobody costs one failed lookup of each kind.
 */
static __always_inline int handle_client_side(struct __sk_buff *skb, struct work *w,
					      enum origin origin)
{
	struct ct_tuple *t = &w->pkt.tuple;
	struct lb_address *address;
	struct ct_flow *f = NULL;
	__u32 address_flags = 0;

	if (!w->pkt.has_l4 && lookup_fragment(&w->pkt)) {
		address = bpf_map_lookup_elem(&lb_addresses, &t->dst);
		/* A node's own address gets fragments that are none of ours. */
		if (address && !(address->flags & ADDRESS_F_NODE) && !is_takeover() &&
		    !is_draining())
			return drop_skb(skb, w, DROP_REASON_FRAGMENT_UNKNOWN, 0);
		return TC_NEXT;
	}
	t->dir = CT_ORIGINAL;
	/* Established TCP outlives its Service, and so its address. */
	if (t->proto == IPPROTO_TCP_)
		f = bpf_map_lookup_elem(&ct_flows, t);
	if (!f) {
		address = bpf_map_lookup_elem(&lb_addresses, &t->dst);
		if (address)
			address_flags = address->flags;
		else if (setting(SETTING_SERVICE_CIDRS) &&
			 in_range_set(RANGE_SET_SERVICE, &t->dst) && !is_draining())
			return drop_skb(skb, w, DROP_REASON_UNKNOWN_SERVICE_IP, 0);
		else if (origin != ORIGIN_POD || !is_hairpin_address(&t->dst))
			return handle_direct(skb, origin);
		if (origin != ORIGIN_NODE && (!address || (address_flags & ADDRESS_F_NODE))) {
			t->dir = CT_REPLY;
			f = lookup_flow(t);
			if (f && is_restored_here(f, origin)) {
				if (address && is_anothers_reply(w, f)) {
					delete_pair(w, t, f);
					return TC_NEXT;
				}
				if (address && is_masquerades_port(skb, NULL, t))
					return TC_NEXT;
				if (!is_given_back(skb, t, f))
					return restore_skb(skb, f);
			}
			t->dir = CT_ORIGINAL;
		}
		if (t->proto == IPPROTO_TCP_)
			f = lookup_half_open(t);
		else
			f = bpf_map_lookup_elem(&ct_any, t);
	}
	if (f && !is_from_its_client(f, origin, skb->ifindex)) {
		/* rp_filter and the CNI's policy judge what claims to be another's packet. */
		if (!is_opening(&w->pkt) || !is_given_up(f))
			return TC_NEXT;
		delete_pair(w, t, f);
		f = NULL;
	}
	if (f && is_handed_over(t->proto))
		return TC_NEXT;
	if (f) {
		enum flow_verdict verdict = check_original(w, &f);

		if (verdict == FLOW_USE && f && is_port_lost(skb, NULL, w, f)) {
			delete_pair(w, t, f);
			verdict = FLOW_NEW;
		}
		if (verdict == FLOW_FULL) {
			count_drop(DROP_REASON_FLOW_TABLE_FULL);
			return refuse(skb, w, origin, f->service_id);
		}
		if (verdict == FLOW_USE && f) {
			touch_flow(f);
			return forward_skb(skb, f);
		}
		if (!address_flags) {
			address = bpf_map_lookup_elem(&lb_addresses, &t->dst);
			address_flags = address ? address->flags : 0;
		}
		if (!address_flags)
			return handle_direct(skb, origin);
	}
	if (!address_flags || (origin != ORIGIN_NODE && (address_flags & ADDRESS_F_LOOPBACK)) ||
	    !w->pkt.has_l4)
		return TC_NEXT;
	return begin_flow(skb, w, address_flags, origin);
}

/* What this node's own sockets send to a pod by the pod's address. */
static __always_inline int handle_own_direct(struct __sk_buff *skb, struct work *w)
{
	struct ct_tuple *t = &w->pkt.tuple;
	struct ct_flow *f = NULL;

	if (!w->pkt.has_l4 && !t->sport)
		return TC_NEXT;
	t->dir = CT_ORIGINAL;
	if (t->proto == IPPROTO_TCP_)
		f = bpf_map_lookup_elem(&ct_flows, t);
	if (!f || !(f->flags & CT_F_DIRECT) || check_original(w, &f) != FLOW_USE || !f)
		return handle_direct(skb, ORIGIN_NODE);
	touch_flow(f);
	return forward_direct(skb, f);
}
