/* SPDX-License-Identifier: GPL-2.0 */
/* From a first packet to a flow: frontend, client's scope, backend, way, reply tuple. */
#pragma once
#include "check.h"
#include "netfilter.h"
#include "../lb/select.h"
#include "../net/fib.h"
#include "../net/hash.h"

enum new_flow_result {
	NEW_FLOW_OK = 0,
	NEW_FLOW_NOT_OURS = 1, /* no frontend: none of our business */
	NEW_FLOW_REFUSE = 2,
	NEW_FLOW_DROP = 3,    /* reason in w->reason */
	NEW_FLOW_LEAVE = 4,   /* XDP: not to be finished here; nothing was created */
	NEW_FLOW_PASS_UP = 5, /* takeover: hand up untranslated */
};

#define SNAT_TRIES 32

static __always_inline int is_internal_client(const struct work *w, enum origin origin)
{
	if (origin != ORIGIN_WIRE)
		return 1;
	return setting(SETTING_CLUSTER_CIDRS) && in_range_set(RANGE_SET_CLUSTER, &w->pkt.tuple.src);
}

static __always_inline int is_maglev(const struct lb_frontend *fe, int is_internal)
{
	return !!(fe->flags &
		  (is_internal ? FRONTEND_F_INTERNAL_MAGLEV : FRONTEND_F_EXTERNAL_MAGLEV));
}

/* The choice is by hash and not by a random number, so that tc, which sees the packet after XDP
 * left it alone, chooses the same. The sequence number of a SYN makes it random enough.
 */
__noinline int choose_backend(const struct lb_frontend *fe, int is_internal, enum origin origin)
{
	struct work *w = get_work();

	if (!w || !fe)
		return SELECT_STALE;
	const struct lb_addr *client = origin == ORIGIN_NODE ? &w->no_client : &w->pkt.tuple.src;
	__u32 seed = is_maglev(fe, is_internal) ? 0 : w->pkt.tcp_seq ^ settings.hash_seed;

	return select_backend(fe, is_internal, client, hash_tuple(&w->pkt.tuple, seed), w->attempt,
			      &w->choice);
}

/* XDP: does the way out take frames from this device's XDP program? */
static __always_inline int can_transmit(__u32 in, __u32 out)
{
	return in == out || bpf_map_lookup_elem(&xdp_devices, &out);
}

static __always_inline int snat_source_of(struct work *w, __u32 ifindex, struct lb_addr *addr)
{
	struct snat_source_key key = {.ifindex = ifindex, .family = w->pkt.is_v4 ? 4 : 6};
	struct snat_source *source = bpf_map_lookup_elem(&snat_sources, &key);

	if (!source) {
		key.ifindex = 0;
		source = bpf_map_lookup_elem(&snat_sources, &key);
	}
	if (!source)
		return -1;
	*addr = source->addr;
	return 0;
}

struct port_search {
	struct work *w;
	struct __sk_buff *skb; /* one of them is NULL */
	struct xdp_md *xdp;
	__u32 start;
	__u32 step;
	int err;
};

static long try_port(__u32 i, struct port_search *search)
{
	__u32 range = settings.snat_port_max - settings.snat_port_min + 1;
	struct work *w = search->w;

	if (!i && !w->is_port_taken && !(w->flow.flags & (CT_F_PAST_STACK | CT_F_MIDDLE)))
		w->reply.dport = w->pkt.tuple.sport;
	else {
		w->reply.dport =
		    bpf_htons(settings.snat_port_min + (search->start + i * search->step) % range);
		/* Somebody's MASQUERADE may have given it away: kube-proxy's takes any port. */
		if (nf_conntrack_status(search->skb, search->xdp, &w->reply)) {
			search->err = -1;
			return 0;
		}
	}
	search->err = create_pair(i >= SNAT_TRIES / 2);
	return search->err != -1;
}

/* Not inlined: what the hash needs of the stack would be below all that looks for a port. */
static __noinline __u32 hash_port(struct work *w, __u32 seed)
{
	return hash_tuple(&w->pkt.tuple, settings.hash_seed ^ seed);
}

/* Reserves a reply tuple: the client's own port where the source is kept and nobody has it, else
 * one of the SNAT range. Ports are probed by double hashing: neighbours would cluster, and fail far
 * below a full range. Returns 0, -1 (all taken) or -2 (table full).
 */
static __noinline int reserve_reply(struct __sk_buff *skb, struct xdp_md *xdp, struct work *w)
{
	if (!w)
		return -1;
	__u32 range = settings.snat_port_max - settings.snat_port_min + 1;
	struct port_search search = {
	    .w = w,
	    .skb = skb,
	    .xdp = xdp,
	    .start = hash_port(w, 0x5eed),
	    .step = range > SNAT_TRIES ? hash_port(w, 0x57e9) % range | 1 : 1,
	    .err = -1,
	};

	bpf_loop(SNAT_TRIES, try_port, &search, 0);
	return search.err;
}

/* Through the stack with SNAT, for kube-proxy's exact form and for CNIs whose policy must see the
 * packet: the first pair (client -> frontend) leaves the middle form client <-> backend to the
 * stack, and this second pair rewrites the source at egress and restores it where the reply
 * arrives. w->flow and w->reply are the first pair's, and are kept. Returns 0 or a drop reason.
 */
static __noinline int create_middle(struct __sk_buff *skb, struct xdp_md *xdp, struct work *w)
{
	if (!w)
		return DROP_REASON_SNAT_PORTS;
	__u32 flags = w->flow.flags;
	int err;

	w->saved = w->pkt.tuple;
	w->pkt.tuple.dst = w->reply.src;
	w->pkt.tuple.dport = w->reply.sport;
	w->pkt.tuple.sport = w->reply.dport;
	w->pkt.tuple.dir = CT_MIDDLE;
	w->reply.dst = w->snat_source;
	/* The first pair's SYN reuse does not know this one's old established entry. */
	if (w->pkt.tuple.proto == IPPROTO_TCP_ && !setting(SETTING_READ_ONLY))
		bpf_map_delete_elem(&ct_flows, &w->pkt.tuple);
	w->flow.flags = CT_F_MIDDLE | CT_F_RESTORE_INGRESS | (flags & CT_F_EXTERNAL);
	err = reserve_reply(skb, xdp, w);
	w->reply.dst = w->saved.src;
	w->reply.dport = w->pkt.tuple.sport;
	w->pkt.tuple = w->saved;
	w->flow.flags = flags;
	w->flow.peer = w->reply;
	if (!err)
		return 0;
	if (!setting(SETTING_READ_ONLY)) {
		delete_flow(&w->reply);
		delete_flow(&w->pkt.tuple);
	}
	return err == -2 ? DROP_REASON_FLOW_TABLE_FULL : DROP_REASON_SNAT_PORTS;
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

/* Does the stack have a connection with these ends that is not ours? */
static __always_inline int is_known_elsewhere(struct __sk_buff *skb, struct xdp_md *xdp,
					      const struct ct_tuple *t, int is_mid_stream)
{
	if (is_mid_stream && is_takeover())
		return 1;
	if (t->proto == IPPROTO_TCP_ && !is_mid_stream)
		return 0;
	/* An answer to what this node asked, or to a MASQUERADE rule: it has the port of a NodePort
	 * by chance.
	 */
	return !!(nf_conntrack_status(skb, xdp, t) & (NF_IPS_DST_NAT | NF_IS_REPLY));
}

/* Does a socket of that network namespace (BPF_F_CURRENT_NETNS, or the kernel's id) have a
 * connection with the ends of w->reply? is_mirrored: the backend's socket, else the client's.
 */
static __noinline int is_socket_connected(void *ctx, struct work *w, __u64 netns, int is_mirrored)
{
	/* Not on the stack, which is deep already. */
	struct bpf_sock_tuple *key = (void *)w->out;
	const struct ct_tuple *t = &w->reply;
	struct bpf_sock *sk;
	int is_connected;

	if (w->pkt.is_v4) {
		key->ipv4.saddr = is_mirrored ? t->dst.w[3] : t->src.w[3];
		key->ipv4.daddr = is_mirrored ? t->src.w[3] : t->dst.w[3];
		key->ipv4.sport = is_mirrored ? t->dport : t->sport;
		key->ipv4.dport = is_mirrored ? t->sport : t->dport;
		sk = bpf_skc_lookup_tcp(ctx, key, sizeof(key->ipv4), netns, 0);
	} else {
		__builtin_memcpy(key->ipv6.saddr, is_mirrored ? &t->dst : &t->src, 16);
		__builtin_memcpy(key->ipv6.daddr, is_mirrored ? &t->src : &t->dst, 16);
		key->ipv6.sport = is_mirrored ? t->dport : t->sport;
		key->ipv6.dport = is_mirrored ? t->sport : t->dport;
		sk = bpf_skc_lookup_tcp(ctx, key, sizeof(key->ipv6), netns, 0);
	}
	if (!sk)
		return 0;
	is_connected = sk->state != BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return is_connected;
}

/* Has the client's own port a connection straight to the chosen backend already? w->reply is what
 * the backend would answer to. Outside of nf_conntrack only pods' own kernels know, on either end.
 */
static __noinline int is_connected_directly(void *ctx, struct work *w)
{
	__u32 origin = w->origin;
	struct lb_device *dev;

	w->reply.dport = w->pkt.tuple.sport;
	if (nf_conntrack_status(ctx, NULL, &w->reply))
		return 1;
	if (origin == ORIGIN_NODE)
		return is_socket_connected(ctx, w, BPF_F_CURRENT_NETNS, 0);
	if (origin == ORIGIN_POD) {
		dev = bpf_map_lookup_elem(&lb_devices, &w->ifindex);
		return dev && dev->netns && is_socket_connected(ctx, w, dev->netns - 1, 0);
	}
	lookup_route(ctx, w, w->ifindex, &w->reply.dst, &w->reply.src);
	dev = bpf_map_lookup_elem(&lb_devices, &w->fib.ifindex);
	return dev && dev->netns && is_socket_connected(ctx, w, dev->netns - 1, 1);
}

/* May nobody on a wire have this source address? */
static __always_inline int is_martian(const struct pkt *p)
{
	const struct lb_addr *src = &p->tuple.src;
	__u8 first = bpf_ntohl(src->w[3]) >> 24;

	if (p->is_v4)
		return !first || first == 127 || first >= 224 || is_node_address(src);
	if (!src->w[0] && !src->w[1] && !src->w[2] && bpf_ntohl(src->w[3]) <= 1)
		return 1;
	return bpf_ntohl(src->w[0]) >> 24 == 0xff || is_node_address(src);
}

/* XDP: is the frame for this device? A promiscuous one gets others', which tc leaves alone. */
static __always_inline int is_to_device(struct xdp_md *xdp)
{
	__u16 *to = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	__u32 ifindex = xdp->ingress_ifindex;
	struct lb_device *dev = bpf_map_lookup_elem(&lb_devices, &ifindex);
	__u16 *mac = dev ? (void *)dev->mac : NULL;

	return mac && to + 3 <= end && to[0] == mac[0] && to[1] == mac[1] && to[2] == mac[2];
}

/* Makes a flow for w->pkt from w->address_flags, origin and ifindex. On OK w->flow is its original
 * direction; w->service_id and w->reason tell about the rest. xdp: leave whatever XDP cannot
 * finish, without a trace. Not inlined: its stack must not add to that of the rewriting.
 */
static __noinline int new_flow(void *ctx, struct work *w, int xdp)
{
	struct ct_tuple *t = &w->pkt.tuple;
	__u32 address_flags = w->address_flags, origin = w->origin;
	struct lb_frontend *fe = lookup_frontend(&t->dst, t->dport, t->proto, address_flags);
	int is_internal, is_mid_stream, err;
	__u64 now;

	w->service_id = 0;
	w->reason = 0;
	w->attempt = 0;
	w->is_port_taken = 0;
	if (is_draining())
		return NEW_FLOW_NOT_OURS;
	if (!fe) {
		if ((address_flags & ADDRESS_F_CLUSTER_IP) && !(address_flags & ADDRESS_F_NODE))
			return NEW_FLOW_REFUSE;
		return NEW_FLOW_NOT_OURS;
	}
	/* The stack drops these; past it nobody else would look. */
	if (origin == ORIGIN_WIRE && is_martian(&w->pkt))
		return NEW_FLOW_NOT_OURS;
	w->service_id = fe->service_id;
	is_mid_stream =
	    t->proto == IPPROTO_TCP_ && (w->pkt.tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN;
	is_internal = is_internal_client(w, origin);
	if (xdp && (is_mid_stream || !is_to_device(ctx)))
		return NEW_FLOW_LEAVE;
	/* kube-proxy's connections go on with its DNAT until they end. */
	if (is_known_elsewhere(xdp ? NULL : ctx, xdp ? ctx : NULL, t, is_mid_stream))
		return NEW_FLOW_PASS_UP;
	if (!is_client_allowed(fe, &t->src, origin == ORIGIN_NODE)) {
		w->reason = DROP_REASON_SOURCE_RANGE;
		return NEW_FLOW_DROP;
	}
	err = choose_backend(fe, is_internal, origin);
	if (err == SELECT_STALE) {
		fe = lookup_frontend(&t->dst, t->dport, t->proto, address_flags);
		if (fe)
			err = choose_backend(fe, is_internal, origin);
	}
	/* A packet of a local socket can't be sent back to this node's own address: the stack would
	 * take it for forged. Another backend then; where there is none the socket hooks serve it.
	 */
	for (__u32 i = 0; i < 4; i++) {
		if (origin != ORIGIN_NODE || err || !fe || !is_node_address(&w->choice.addr))
			break;
		w->attempt = i + 1;
		err = choose_backend(fe, is_internal, origin);
	}
	if (err == SELECT_REFUSE)
		return NEW_FLOW_REFUSE;
	if (err || !fe) {
		w->reason = err == SELECT_DROP ? DROP_REASON_NO_LOCAL_BACKEND : DROP_REASON_STALE;
		return NEW_FLOW_DROP;
	}
	if (origin == ORIGIN_NODE && is_node_address(&w->choice.addr)) {
		w->reason = DROP_REASON_NO_ROUTE;
		return NEW_FLOW_DROP;
	}
	/* Maglev leads to the same backend as long as the list is the same. Another choice would
	 * meet a backend that knows nothing of it: better a reset than a hanging client.
	 */
	if (is_mid_stream && (!is_maglev(fe, is_internal) || (w->pkt.tcp_flags & TCP_RST)))
		return NEW_FLOW_REFUSE;
	now = now_ns();
	__builtin_memset(&w->flow, 0, sizeof(w->flow));
	w->flow.created_ns = now;
	w->flow.last_seen_ns = now;
	w->flow.packets = 1;
	w->flow.bytes = w->pkt.l3_len;
	w->flow.service_id = fe->service_id;
	w->flow.backend_id = w->choice.backend_id;
	w->flow.backend_generation = w->choice.backend_generation;
	w->flow.ingress_ifindex = w->ifindex;
	w->flow.flags = (is_internal ? 0 : CT_F_EXTERNAL) | (xdp ? CT_F_VIA_XDP : 0) |
			(is_mid_stream ? CT_F_MIDSTREAM : 0);
	if (origin == ORIGIN_POD)
		w->flow.flags |= CT_F_FROM_POD;
	else if (origin == ORIGIN_WIRE)
		w->flow.flags |= CT_F_FROM_WIRE;
	__builtin_memset(&w->reply, 0, sizeof(w->reply));
	w->reply.src = w->choice.addr;
	w->reply.sport = w->choice.port;
	w->reply.dst = t->src;
	w->reply.proto = t->proto;
	w->reply.dir = CT_REPLY;
	w->reason = choose_way(ctx, w, fe, is_internal);
	if (w->reason)
		return xdp ? NEW_FLOW_LEAVE : NEW_FLOW_DROP;
	if (is_mid_stream && (w->needs_middle || (w->flow.flags & CT_F_PAST_STACK)))
		return NEW_FLOW_REFUSE;
	if (xdp && (!(w->flow.flags & CT_F_PAST_STACK) || !w->flow.next_hop.ifindex ||
		    w->flow.next_hop.mtu < w->pkt.l3_len || w->pkt.ttl <= 1 ||
		    !can_transmit(w->ifindex, w->flow.next_hop.ifindex)))
		return NEW_FLOW_LEAVE;
	if (!xdp && t->proto == IPPROTO_TCP_ && !is_mid_stream &&
	    !(w->flow.flags & (CT_F_PAST_STACK | CT_F_HAIRPIN)))
		w->is_port_taken = is_connected_directly(ctx, w);
	err = reserve_reply(xdp ? NULL : ctx, xdp ? ctx : NULL, w);
	if (err) {
		w->reason = err == -2                       ? DROP_REASON_FLOW_TABLE_FULL :
			    w->flow.flags & CT_F_PAST_STACK ? DROP_REASON_SNAT_PORTS :
							      DROP_REASON_TUPLE_TAKEN;
		return NEW_FLOW_DROP;
	}
	if (w->needs_middle) {
		w->reason = create_middle(xdp ? NULL : ctx, xdp ? ctx : NULL, w);
		if (w->reason)
			return NEW_FLOW_DROP;
	}
	if (!w->attempt)
		remember_affinity(fe, origin == ORIGIN_NODE ? &w->no_client : &t->src, &w->choice);
	if (w->choice.affinity_hit) {
		struct stats_service *s = stats_of(fe->service_id);

		if (s)
			count(s->affinity_hits, 1);
	}
	count_new_flow(fe->service_id, w->choice.backend_id);
	return NEW_FLOW_OK;
}
