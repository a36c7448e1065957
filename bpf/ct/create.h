/* SPDX-License-Identifier: GPL-2.0 */
/* From a first packet to a flow: frontend, client's scope, backend, way, reply tuple. */
#pragma once
#include "claims.h"
#include "snat.h"
#include "way.h"
#include "../lb/select.h"

enum new_flow_result {
	NEW_FLOW_OK = 0,
	NEW_FLOW_NOT_OURS = 1, /* no frontend: none of our business */
	NEW_FLOW_REFUSE = 2,
	NEW_FLOW_DROP = 3,    /* reason in w->reason */
	NEW_FLOW_LEAVE = 4,   /* XDP: not to be finished here; nothing was created */
	NEW_FLOW_PASS_UP = 5, /* takeover: hand up untranslated */
};

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
