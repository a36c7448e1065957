/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../ct/check.h"
#include "../ct/create.h"
#include "../ct/direct.h"
#include "../ct/frag.h"
#include "../nat/xlate.h"
#include "../nat/icmp_echo.h"
#include "../nat/icmp_error.h"
#include "../net/refuse.h"
#include "../observe/finish.h"

#define SETTINGS_WITH_MIDDLE \
	(SETTING_HOST_ROUTING_STACK | SETTING_MASQUERADE_EXTERNAL | SETTING_MASQUERADE_ALL)

/* skb->tc_index of what is redirected out: nothing is left to do where it leaves. Cleared where
 * packets come in, since a veth hands it on to another node of the same machine.
 */
#define TRANSLATED_MARK 0x5348

#define PACKET_HOST_ 0   /* skb->pkt_type: to us */
#define HEADERS_MAX  160 /* made linear before parsing: Ethernet, IPv6 with extensions, TCP */

static __always_inline int parse_skb(struct __sk_buff *skb, struct pkt *p, int is_bare)
{
	if (skb->data + HEADERS_MAX > skb->data_end)
		bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX);
	if (is_bare)
		return parse_bare(p, (void *)(long)skb->data, (void *)(long)skb->data_end, skb->len,
				  skb->protocol);
	return parse_frame(p, (void *)(long)skb->data, (void *)(long)skb->data_end, skb->len);
}

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
	if (!(flags & CT_F_HAIRPIN)) {
		if ((flags & CT_F_BRIDGE_PORT) && address_on_bridge(skb, w, f))
			return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
		count_path(PATH_LOCAL, w->pkt.l3_len);
		return TC_NEXT;
	}
	if (swap_macs_skb(skb, &w->pkt))
		return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
	count_path(PATH_HAIRPIN, w->pkt.l3_len);
	return bpf_redirect(skb->ifindex, 0);
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
	if (flags & CT_F_HAIRPIN) {
		if (swap_macs_skb(skb, &w->pkt))
			return drop_skb(skb, w, DROP_REASON_REWRITE_FAILED, f->service_id);
		count_path(PATH_HAIRPIN, w->pkt.l3_len);
		return bpf_redirect(skb->ifindex, 0);
	}
	count_path(flags & CT_F_MIDDLE      ? PATH_MIDDLE_REPLY :
		   flags & CT_F_NODE_CLIENT ? PATH_NODE_REPLY :
					      PATH_REPLY_EGRESS,
		   w->pkt.l3_len);
	return TC_NEXT;
}

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
		if (!lookup_rival(w, origin, skb->ifindex))
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

/* The second half of a flow through the stack: its source becomes this node's at egress. */
__noinline int handle_middle(struct __sk_buff *skb)
{
	struct work *w = get_work();

	if (!w)
		return TC_NEXT;
	struct ct_flow *f;

	w->pkt.tuple.dir = CT_MIDDLE;
	f = lookup_flow(&w->pkt.tuple);
	if (!f)
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

/* Parses; on anything but a packet with ports *verdict is final. */
static __always_inline int is_port_packet(struct __sk_buff *skb, struct work *w, enum side side,
					  int is_bare, int *verdict)
{
	int parsed = parse_skb(skb, &w->pkt, is_bare);

	*verdict = parsed == PARSE_ICMP ? handle_icmp(skb, side) : TC_NEXT;
	return parsed == PARSE_OK;
}

static __always_inline void clear_mark(struct __sk_buff *skb)
{
	if (skb->tc_index == TRANSLATED_MARK)
		skb->tc_index = 0;
}

/* Host side of a pod's veth: what the pod sends. */
SEC("tc")
int tc_pod_in(struct __sk_buff *skb)
{
	struct work *w = get_work();
	int verdict;

	if (!w)
		return TC_NEXT;
	clear_mark(skb);
	if (!is_port_packet(skb, w, SIDE_POD_IN, 0, &verdict))
		return verdict;
	return handle_client_side(skb, w, ORIGIN_POD);
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

/* Host side of a pod's veth: what the pod receives. */
SEC("tc")
int tc_pod_out(struct __sk_buff *skb)
{
	struct work *w = get_work();
	int is_reply, verdict;

	if (!w || skb->tc_index == TRANSLATED_MARK)
		return TC_NEXT;
	if (!is_port_packet(skb, w, SIDE_OUT, 0, &verdict))
		return verdict;
	verdict = handle_reply(skb, w, &is_reply);
	if (is_reply || skb->ingress_ifindex)
		return verdict;
	return handle_own_direct(skb, w);
}

/* A connection that the stack has masqueraded leaves with a port that a live flow of ours has: that
 * of the backend is taken. The rule chooses another when the client repeats its SYN, if
 * nf_conntrack has forgotten this choice. UDP needs no such thing: see is_masquerades_port().
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
	__builtin_memset(key, 0, sizeof(*key));
	key->src = t->dst;
	key->dst = t->src;
	key->sport = t->dport;
	key->dport = t->sport;
	key->proto = t->proto;
	key->dir = CT_REPLY;
	f = lookup_flow(key);
	if (!f || !(f->flags & (CT_F_PAST_STACK | CT_F_MIDDLE_USED)) || is_closing(f))
		return TC_NEXT;
	if (!(ask_nf_conntrack(skb, NULL, key, NF_IPS_SRC_NAT | NF_IS_REPLY) & NF_IPS_SRC_NAT))
		return TC_NEXT;
	return drop_skb(skb, w, DROP_REASON_TUPLE_TAKEN, f->service_id);
}

static __always_inline int handle_uplink_in(struct __sk_buff *skb, int is_bare)
{
	struct work *w = get_work();
	int verdict;

	/* A frame for another host, seen by a promiscuous device, is not ours to answer; one with a
	 * VLAN tag comes again by the VLAN's own device, without it.
	 */
	if (!w || skb->pkt_type != PACKET_HOST_ || skb->vlan_present)
		return TC_NEXT;
	clear_mark(skb);
	if (!is_port_packet(skb, w, SIDE_WIRE_IN, is_bare, &verdict))
		return verdict;
	return handle_client_side(skb, w, ORIGIN_WIRE);
}

static __always_inline int handle_uplink_out(struct __sk_buff *skb, int is_bare)
{
	struct work *w = get_work();
	int is_reply, verdict;

	if (!w || skb->tc_index == TRANSLATED_MARK)
		return TC_NEXT;
	if (!is_port_packet(skb, w, SIDE_OUT, is_bare, &verdict))
		return verdict;
	verdict = handle_reply(skb, w, &is_reply);
	if (is_reply || verdict != TC_NEXT)
		return verdict;
	/* Only what a local socket sent has not come in by a device. */
	if (!skb->ingress_ifindex)
		return handle_client_side(skb, w, ORIGIN_NODE);
	if (w->pkt.tuple.proto == IPPROTO_TCP_ && is_opening(&w->pkt))
		return handle_masqueraded(skb);
	return verdict;
}

/* Uplink or overlay: what comes from outside. */
SEC("tc")
int tc_uplink_in(struct __sk_buff *skb)
{
	return handle_uplink_in(skb, 0);
}

/* Uplink or overlay: what leaves, replies of local backends and this node's own packets. */
SEC("tc")
int tc_uplink_out(struct __sk_buff *skb)
{
	return handle_uplink_out(skb, 0);
}

/* The same for devices without Ethernet header: WireGuard, IPIP, tun. */
SEC("tc")
int tc_layer3_in(struct __sk_buff *skb)
{
	return handle_uplink_in(skb, 1);
}

SEC("tc")
int tc_layer3_out(struct __sk_buff *skb)
{
	return handle_uplink_out(skb, 1);
}
