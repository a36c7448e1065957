/* SPDX-License-Identifier: GPL-2.0 */
/* XDP finishes what goes past the stack: outside client <-> backend on another node. Whatever it
 * cannot finish goes up unmodified, and tc on the same device does the whole.
 */
#pragma once
#include "tc.h"

/* What may be written to: a test run must leave the real entry alone. */
static __always_inline struct ct_flow *writable(struct work *w, struct ct_flow *f)
{
	if (!setting(SETTING_READ_ONLY))
		return f;
	w->flow = *f;
	return &w->flow;
}

/* Makes sure that the flow's next hop is known and takes this packet; otherwise 0. */
static __always_inline int resolve_next_hop(struct xdp_md *xdp, struct work *w, struct ct_flow *f)
{
	struct ct_next_hop *nh = &f->next_hop;

	if (!is_next_hop_valid(nh)) {
		w->reply = f->peer;
		if (lookup_route(xdp, w, xdp->ingress_ifindex, &w->reply.dst, &w->reply.src) !=
		    BPF_FIB_LKUP_RET_SUCCESS)
			return 0;
		if (device_class(w->fib.ifindex) == DEVICE_LAYER3)
			return 0;
		store_next_hop(nh, &w->fib);
	}
	return w->pkt.l3_len <= nh->mtu && w->pkt.ttl > 1 &&
	       can_transmit(xdp->ingress_ifindex, nh->ifindex);
}

static __noinline int transmit(struct xdp_md *xdp, struct work *w, struct ct_flow *f, __u32 path)
{
	void *data, *data_end;
	__u32 ifindex = f->next_hop.ifindex;

	w->reply = f->peer;
	if (xlate_xdp(xdp, &w->pkt, &w->reply) || decrement_ttl_xdp(xdp, &w->pkt))
		goto failed;
	data = (void *)(long)xdp->data;
	data_end = (void *)(long)xdp->data_end;
	if (data + ETH_HLEN > data_end)
		goto failed;
	__builtin_memcpy(data, f->next_hop.dmac, 6);
	__builtin_memcpy(data + 6, f->next_hop.smac, 6);
	count_path(path, w->pkt.l3_len);
	if (ifindex == xdp->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect_map(&xdp_devices, ifindex, 0);
failed:
	count_drop(DROP_REASON_REWRITE_FAILED);
	return XDP_DROP;
}

static __always_inline int leave_to_tc(struct work *w)
{
	count_path(PATH_XDP_TO_STACK, w->pkt.l3_len);
	return XDP_PASS;
}

SEC("xdp")
int xdp_uplink(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *data_end = (void *)(long)xdp->data_end;
	struct lb_address *address = NULL;
	struct work *w = get_work();
	__u32 address_flags;
	struct ct_flow *f = NULL;
	struct ct_tuple *t;

	if (!w || parse_frame(&w->pkt, data, data_end, data_end - data) != PARSE_OK ||
	    !w->pkt.plain || w->pkt.tuple.proto == IPPROTO_SCTP_)
		return XDP_PASS;
	t = &w->pkt.tuple;
	t->dir = CT_ORIGINAL;
	if (t->proto == IPPROTO_TCP_)
		f = bpf_map_lookup_elem(&ct_flows, t);
	if (!f) {
		address = bpf_map_lookup_elem(&lb_addresses, &t->dst);
		if (!address)
			return XDP_PASS;
	}
	address_flags = address ? address->flags : 0;
	if (!f && (address_flags & ADDRESS_F_NODE)) {
		t->dir = CT_REPLY;
		f = lookup_flow(t);
		if (f && (f->flags & CT_F_PAST_STACK) && is_draining() && is_left_over(t, f))
			return leave_to_tc(w);
		if (f && (f->flags & CT_F_PAST_STACK)) {
			f = writable(w, f);
			if (is_anothers_reply(w, f) || is_masquerades_port(NULL, xdp, t) ||
			    !resolve_next_hop(xdp, w, f))
				return leave_to_tc(w);
			touch_flow(f);
			note_synack(w, f);
			count_reply(f->service_id, w->pkt.l3_len);
			return transmit(xdp, w, f, PATH_REPLY_XDP);
		}
		f = NULL;
		t->dir = CT_ORIGINAL;
	}
	if (!f)
		f = t->proto == IPPROTO_TCP_ ? lookup_half_open(t) : lookup_flow(t);
	if (f) {
		if (!(f->flags & CT_F_PAST_STACK) || is_handed_over(t->proto) ||
		    !is_from_its_client(f, ORIGIN_WIRE, xdp->ingress_ifindex))
			return XDP_PASS;
		f = writable(w, f);
		if (is_flow_over(w, f) || is_port_lost(NULL, xdp, w, f) ||
		    !resolve_next_hop(xdp, w, f))
			return leave_to_tc(w);
		if (check_handshake(w, &f) == FLOW_FULL || !f)
			return leave_to_tc(w);
		touch_flow(f);
		count_packet(f->service_id, w->pkt.l3_len);
		return transmit(xdp, w, f, PATH_REMOTE_XDP);
	}
	if (address_flags & ADDRESS_F_LOOPBACK)
		return XDP_PASS;
	w->address_flags = address_flags;
	w->origin = ORIGIN_WIRE;
	w->ifindex = xdp->ingress_ifindex;
	if (new_flow(xdp, w, 1))
		return XDP_PASS;
	emit_event(w, EVENT_NEW_FLOW, 0, w->service_id, HOOK_XDP, xdp->ingress_ifindex);
	count_packet(w->service_id, w->pkt.l3_len);
	return transmit(xdp, w, &w->flow, PATH_REMOTE_XDP);
}
