/* SPDX-License-Identifier: GPL-2.0 */
/* One client port, one backend, two ways to it: through a frontend and straight to the backend.
 * The backend would see the same ends twice. The same happens to a socket of this node whose port a
 * flow past the stack has, under the node's own address: by its own choice or that of a MASQUERADE
 * rule. The connection that comes second gets another source port, as nf_conntrack would give it:
 *
 * - a straight one beside a flow through a frontend finds that flow's reply key, and becomes a flow
 *   itself that changes nothing but the source port;
 * - a flow through a frontend asks before it takes the client's own port: nf_conntrack, and the
 *   sockets of this node's pods. Only TCP: a straight UDP flow moves aside by the first rule.
 */
#pragma once
#include "create.h"

/* Does the sender of a straight packet, and nobody else, share its port with f? Nobody but this
 * node sends from the address that its flows past the stack have. Of UDP a MASQUERADE rule keeps
 * the port that it chose (see is_masquerades_port()), and one that f never used.
 */
static __always_inline int shares_port(const struct ct_flow *f, __u32 proto, enum origin origin,
				       __u32 ifindex)
{
	if (proto != IPPROTO_TCP_)
		return is_from_its_client(f, origin, ifindex) && !is_middle_unused(f);
	return is_from_its_client(f, origin, ifindex) ||
	       (origin == ORIGIN_NODE && (f->flags & CT_F_PAST_STACK));
}

/* Is there a flow in whose place replies to this straight packet would be taken? Leaves its key in
 * w->saved.
 */
static __always_inline struct ct_flow *lookup_rival(struct work *w, __u32 origin, __u32 ifindex)
{
	struct ct_tuple *t = &w->pkt.tuple, *key = &w->saved;
	struct ct_flow *f;
	__u64 now;

	write_reply_key(key, t);
	f = lookup_flow(key);
	if (!f || !shares_port(f, t->proto, origin, ifindex))
		return NULL;
	now = now_ns();
	if (t->proto != IPPROTO_TCP_ ?
		!is_expired(key, f, now) :
		!is_closing(f) &&
		    ((f->flags & CT_F_ESTABLISHED) || now - f->created_ns < HALF_OPEN_TIMEOUT_NS))
		return f;
	delete_pair(w, key, f);
	return NULL;
}

/* Makes a flow of a straight packet that has a rival: w->flow. Returns NEW_FLOW_*. It counts as
 * traffic of the rival's service, and lasts as long as its backend.
 */
static __noinline int new_direct_flow(struct __sk_buff *skb, struct work *w, __u32 origin)
{
	struct ct_tuple *t = &w->pkt.tuple;
	struct ct_flow *rival = lookup_rival(w, origin, skb->ifindex);
	__u64 now = now_ns();

	if (!rival)
		return NEW_FLOW_NOT_OURS;
	w->service_id = rival->service_id;
	/* Two SYNs, forged by a pod, must not make what lasts for a day: the rival shows first that
	 * it is alive. The client repeats its SYN after a second.
	 */
	if (t->proto == IPPROTO_TCP_ && origin != ORIGIN_NODE && !(rival->flags & CT_F_ESTABLISHED))
		return NEW_FLOW_DROP;
	__builtin_memset(&w->flow, 0, sizeof(w->flow));
	w->flow.created_ns = now;
	w->flow.last_seen_ns = now;
	w->flow.packets = 1;
	w->flow.bytes = w->pkt.l3_len;
	w->flow.service_id = rival->service_id;
	w->flow.backend_id = rival->backend_id;
	w->flow.backend_generation = rival->backend_generation;
	w->flow.ingress_ifindex = skb->ifindex;
	w->flow.flags = CT_F_DIRECT;
	if (origin == ORIGIN_NODE)
		w->flow.flags |= CT_F_RESTORE_INGRESS;
	else
		w->flow.flags |= rival->flags & (CT_F_FROM_POD | CT_F_FROM_WIRE);
	__builtin_memset(&w->reply, 0, sizeof(w->reply));
	w->reply.src = t->dst;
	w->reply.sport = t->dport;
	w->reply.dst = t->src;
	w->reply.proto = t->proto;
	w->reply.dir = CT_REPLY;
	w->is_port_taken = 1;
	if (reserve_reply(skb, NULL, w))
		return NEW_FLOW_DROP;
	/* At once, so that other straight packets need not be looked for among half-open flows. */
	if (t->proto == IPPROTO_TCP_ && promote(&w->flow))
		return NEW_FLOW_DROP;
	return NEW_FLOW_OK;
}
