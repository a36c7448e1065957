/* SPDX-License-Identifier: GPL-2.0 */
/* The reply tuple of a new flow: the client's own port, or one of the SNAT range. */
#pragma once
#include "netfilter.h"
#include "pair.h"
#include "../net/hash.h"

#define SNAT_TRIES 32
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
