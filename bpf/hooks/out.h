/* SPDX-License-Identifier: GPL-2.0 */
/* The ways out of a tc program: past the stack, up translated, back as a refusal. */
#pragma once
#include "../ct/check.h"
#include "../ct/frag.h"
#include "../nat/xlate.h"
#include "../net/fib.h"
#include "../net/refuse.h"
#include "../observe/finish.h"

/* skb->tc_index of what is redirected out: nothing is left to do where it leaves. Cleared where
 * packets come in, since a veth hands it on to another node of the same machine. The low byte of
 * a mark stays 0: Cilium has flags there.
 */
#define TRANSLATED_MARK 0x5300
/* TCP that goes up translated, to be routed: where it leaves towards a pod nothing is left to do,
 * but by an uplink a rule of netfilter may have given it another source. UDP is looked at again:
 * two pods with the same fixed port may be clients of each other's services, and then a datagram
 * is the answer to the other's too.
 */
#define ROUTED_MARK 0x5400

/* With these a flow may have a second pair, for its source. */
#define SETTINGS_WITH_MIDDLE \
	(SETTING_HOST_ROUTING_STACK | SETTING_MASQUERADE_EXTERNAL | SETTING_MASQUERADE_ALL)

/* Length on the wire of the largest segment. */
static __always_inline __u32 segment_len(struct __sk_buff *skb, const struct pkt *p)
{
	__u32 l4_len = p->tuple.proto == IPPROTO_TCP_ ? p->tcp_hdr_len : sizeof(struct udphdr);

	/* SCTP's GSO keeps every chunk's own size: it was cut to fit by the sender. */
	if (p->tuple.proto == IPPROTO_SCTP_ && skb->gso_size)
		return 0;
	return skb->gso_size ? p->l4_off - p->l3_off + l4_len + skb->gso_size : p->l3_len;
}

/* Out by that device to where its destination is routed. The kernel resolves the neighbour, and
 * queues the packet meanwhile. It takes an Ethernet header away: what has none gets an empty one.
 */
static __always_inline int redirect_routed(struct __sk_buff *skb, struct work *w, __u32 ifindex)
{
	if (!w->pkt.l3_off && bpf_skb_change_head(skb, ETH_HLEN, 0))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, 0);
	return bpf_redirect_neigh(ifindex, NULL, 0, 0);
}

/* Back out of the device that the packet came by; to_node: up to a socket of this node, as if it
 * had come in by it.
 */
static __always_inline int send_back(struct __sk_buff *skb, struct work *w, int to_node)
{
	/* A tunnel chooses its far end by the route. */
	if (!w->pkt.l3_off && !to_node)
		return redirect_routed(skb, w, skb->ifindex);
	return bpf_redirect(skb->ifindex, to_node ? BPF_F_INGRESS : 0);
}

/* Sends the packet's refusal to where it came from. */
__noinline int refuse_skb(struct __sk_buff *skb, __u32 what_mtu, __u32 origin_service)
{
	struct work *w = get_work();

	if (!w)
		return TC_SHOT;
	__u32 service_id = origin_service & 0xffffff, origin = origin_service >> 24;
	int reason =
	    build_refusal(skb, w, what_mtu ? REFUSE_TOO_BIG : REFUSE_UNREACHABLE, what_mtu);
	struct stats_service *s;

	if (reason)
		return drop_skb(skb, w, reason, service_id);
	count_path(PATH_REFUSED, w->pkt.l3_len);
	s = service_id ? stats_of(service_id) : NULL;
	if (s)
		count(s->refused, 1);
	emit_event(w, EVENT_REFUSED, 0, service_id, HOOK_TC_INGRESS, skb->ifindex);
	return send_back(skb, w, origin == ORIGIN_NODE);
}

static __always_inline int refuse(struct __sk_buff *skb, struct work *w, enum origin origin,
				  __u32 service_id)
{
	return refuse_skb(skb, 0, (__u32)origin << 24 | service_id);
}

/* Translated wholly and out, towards the flow's next hop: past the stack, or from this node's own
 * socket by the backend's route instead of the service's.
 */
__noinline int send_out(struct __sk_buff *skb, struct ct_flow *f, __u32 path)
{
	struct work *w = get_work();

	if (!w || !f)
		return TC_SHOT;
	struct ct_next_hop *nh = &f->next_hop;
	__u32 ifindex = nh->ifindex, mtu = nh->mtu;
	int is_cached = is_next_hop_valid(nh), is_node = path == PATH_NODE_EGRESS;
	__u8 macs[12];
	long rc;

	w->reply = f->peer;
	if (is_cached) {
		__builtin_memcpy(macs, nh->dmac, 6);
		__builtin_memcpy(macs + 6, nh->smac, 6);
	} else {
		rc = lookup_route(skb, w, skb->ifindex, &w->reply.dst, &w->reply.src);
		if (rc != BPF_FIB_LKUP_RET_SUCCESS && rc != BPF_FIB_LKUP_RET_NO_NEIGH)
			return drop_skb(skb, w, DROP_REASON_NO_ROUTE, f->service_id);
		ifindex = w->fib.ifindex;
		mtu = w->fib.mtu_result;
		if (rc == BPF_FIB_LKUP_RET_SUCCESS && !setting(SETTING_READ_ONLY) &&
		    device_class(ifindex) != DEVICE_LAYER3)
			store_next_hop(nh, &w->fib);
	}
	if (mtu && segment_len(skb, &w->pkt) > mtu) {
		/* Also without DF: nobody fragments past the stack, and Linux senders listen. */
		return refuse_skb(
		    skb, mtu, (__u32)(is_node ? ORIGIN_NODE : ORIGIN_WIRE) << 24 | f->service_id);
	}
	if (!is_node && decrement_ttl_skb(skb, &w->pkt))
		return drop_skb(skb, w, DROP_REASON_TTL, f->service_id);
	if (xlate_skb(skb, &w->pkt, &w->reply))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	count_path(path, w->pkt.l3_len);
	skb->tc_index = TRANSLATED_MARK;
	/* Also once a second when the neighbour is known: an entry that only BPF reads would go
	 * stale and never be probed again.
	 */
	if (!is_cached || !w->pkt.l3_off)
		return redirect_routed(skb, w, ifindex);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	return bpf_redirect(ifindex, 0);
}

/* A translated packet between two ports of one bridge is addressed to the backend itself, so that
 * it crosses the bridge as the reply does. Through the stack it would go one way and the reply the
 * other, and where bridged frames are hidden from netfilter, nf_conntrack would see half of the
 * connection and call the rest INVALID. Everything else stays addressed to the gateway.
 */
static __noinline int address_on_bridge(struct __sk_buff *skb, struct work *w, struct ct_flow *f)
{
	struct ct_next_hop *nh = &f->next_hop;
	__u8 dmac[6];
	__u32 out;

	if (!is_next_hop_valid(nh)) {
		/* Without a neighbour entry: the stack takes this packet and makes one. */
		if (lookup_route(skb, w, skb->ifindex, &w->reply.dst, &w->reply.src) !=
		    BPF_FIB_LKUP_RET_SUCCESS)
			return 0;
		/* The device itself as way out means "not on this bridge". */
		if (w->fib.ifindex != bridge_of(skb->ifindex))
			w->fib.ifindex = skb->ifindex;
		if (!setting(SETTING_READ_ONLY))
			store_next_hop(nh, &w->fib);
		out = w->fib.ifindex;
		__builtin_memcpy(dmac, w->fib.dmac, 6);
	} else {
		out = nh->ifindex;
		__builtin_memcpy(dmac, nh->dmac, 6);
	}
	if (out == skb->ifindex)
		return 0;
	return bpf_skb_store_bytes(skb, 0, dmac, sizeof(dmac), 0);
}

/* The CRC of a fragment's whole packet is out of reach: it can't get new ports. */
static __always_inline int is_sctp_fragment(const struct pkt *p, const struct ct_flow *f)
{
	return p->tuple.proto == IPPROTO_SCTP_ && p->more_frags && p->has_l4 &&
	       (f->peer.dport != p->tuple.sport || f->peer.sport != p->tuple.dport);
}

/* Translated, back to the pod that it came from. */
static __always_inline int send_hairpin(struct __sk_buff *skb, struct work *w, __u32 service_id)
{
	if (swap_macs_skb(skb, &w->pkt))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, service_id);
	count_path(PATH_HAIRPIN, w->pkt.l3_len);
	return bpf_redirect(skb->ifindex, 0);
}

/* A packet of the original direction, by its flow. */
__noinline int forward_skb(struct __sk_buff *skb, struct ct_flow *f)
{
	struct work *w = get_work();

	if (!w || !f)
		return TC_SHOT;
	__u32 flags = f->flags;

	if (is_sctp_fragment(&w->pkt, f))
		return drop_skb(skb, w, DROP_REASON_SCTP_FRAGMENT, f->service_id);
	count_packet(f->service_id, w->pkt.l3_len);
	if (w->pkt.more_frags && w->pkt.has_l4)
		remember_fragment(&w->pkt);
	if (flags & CT_F_PAST_STACK)
		return send_out(skb, f, PATH_REMOTE_TC);
	if (flags & CT_F_NODE_CLIENT)
		return send_out(skb, f, PATH_NODE_EGRESS);
	w->reply = f->peer;
	if (xlate_skb(skb, &w->pkt, &w->reply))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	if (flags & CT_F_HAIRPIN)
		return send_hairpin(skb, w, f->service_id);
	if ((flags & CT_F_BRIDGE_PORT) && address_on_bridge(skb, w, f))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	count_path(PATH_LOCAL, w->pkt.l3_len);
	if (w->pkt.tuple.proto == IPPROTO_TCP_ && !setting(SETTINGS_WITH_MIDDLE))
		skb->tc_index = ROUTED_MARK;
	return TC_NEXT;
}

/* A packet of the reply direction at the edge where it is restored. */
__noinline int restore_skb(struct __sk_buff *skb, struct ct_flow *f)
{
	struct work *w = get_work();

	if (!w || !f)
		return TC_SHOT;
	__u32 flags = f->flags;

	if (is_sctp_fragment(&w->pkt, f))
		return drop_skb(skb, w, DROP_REASON_SCTP_FRAGMENT, f->service_id);
	touch_flow(f);
	note_synack(w, f);
	count_reply(f->service_id, w->pkt.l3_len);
	if (w->pkt.more_frags && w->pkt.has_l4)
		remember_fragment(&w->pkt);
	if (flags & CT_F_PAST_STACK)
		return send_out(skb, f, PATH_REPLY_TC);
	w->reply = f->peer;
	if (xlate_skb(skb, &w->pkt, &w->reply))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	if (flags & CT_F_HAIRPIN)
		return send_hairpin(skb, w, f->service_id);
	count_path(flags & CT_F_MIDDLE      ? PATH_MIDDLE_REPLY :
		   flags & CT_F_NODE_CLIENT ? PATH_NODE_REPLY :
					      PATH_REPLY_EGRESS,
		   w->pkt.l3_len);
	return TC_NEXT;
}
