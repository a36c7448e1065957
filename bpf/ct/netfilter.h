/* SPDX-License-Identifier: GPL-2.0 */
/* What nf_conntrack knows. Only where the kernel offers the lookups (weak: without them the
 * programs load all the same, and the answer is "nothing").
 */
#pragma once
#include <bpf/bpf_core_read.h>
#include "touch.h"

/* In the kernel, or the module, that has the lookups. Their own address would tell too, but only
 * Linux 6.4 and libbpf 1.3 know addresses of functions in modules.
 */
struct bpf_ct_opts {
	__s32 error;
} __attribute__((preserve_access_index));

/* Fields that exist since 5.18; CO-RE finds where they are. */
struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

struct bpf_ct_opts_v1 {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple,
					 __u32 tuple_len, struct bpf_ct_opts_v1 *opts,
					 __u32 opts_len) __ksym __weak;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *xdp, struct bpf_sock_tuple *tuple,
					 __u32 tuple_len, struct bpf_ct_opts_v1 *opts,
					 __u32 opts_len) __ksym __weak;
extern int bpf_ct_change_timeout(struct nf_conn *ct, __u32 timeout_ms) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

#define NF_CT_CURRENT_NETNS -1
#define NF_IPS_SEEN_REPLY   (1ul << 1)
#define NF_IPS_SRC_NAT      (1ul << 4)
#define NF_IPS_DST_NAT      (1ul << 5)
#define NF_IS_REPLY         (1ul << 62) /* ours: the ends are those of the entry's replies */
#define NF_KNOWN            (1ul << 63)

/* nf_conntrack's entry for a packet with these ends, in either direction: its status with NF_KNOWN
 * (and NF_IS_REPLY) set, or 0 when there is none. One of skb and xdp is NULL. An entry that has all
 * bits of `forget` (not 0) set is forgotten.
 */
static __noinline unsigned long ask_nf_conntrack(struct __sk_buff *skb, struct xdp_md *xdp,
						 const struct ct_tuple *t, unsigned long forget)
{
	struct bpf_ct_opts_v1 opts = {.netns_id = NF_CT_CURRENT_NETNS, .l4proto = t->proto};
	struct bpf_sock_tuple key = {};
	__u32 len = sizeof(key.ipv6);
	struct nf_conn *ct = NULL;
	unsigned long status;

	if (!bpf_core_type_exists(struct bpf_ct_opts))
		return 0;
	/* The lookup knows these two; for others it fails. */
	if (t->proto != IPPROTO_TCP_ && t->proto != IPPROTO_UDP_)
		return 0;
	if (addr_is_v4(&t->src)) {
		key.ipv4.saddr = t->src.w[3];
		key.ipv4.daddr = t->dst.w[3];
		key.ipv4.sport = t->sport;
		key.ipv4.dport = t->dport;
		len = sizeof(key.ipv4);
	} else {
		__builtin_memcpy(key.ipv6.saddr, &t->src, 16);
		__builtin_memcpy(key.ipv6.daddr, &t->dst, 16);
		key.ipv6.sport = t->sport;
		key.ipv6.dport = t->dport;
	}
	if (skb)
		ct = bpf_skb_ct_lookup(skb, &key, len, &opts, sizeof(opts));
	else if (xdp)
		ct = bpf_xdp_ct_lookup(xdp, &key, len, &opts, sizeof(opts));
	if (!ct)
		return 0;
	status = ct->status | NF_KNOWN | (opts.dir ? NF_IS_REPLY : 0);
	if (forget && (status & forget) == forget)
		bpf_ct_change_timeout(ct, 0);
	bpf_ct_release(ct);
	return status;
}

static __always_inline unsigned long nf_conntrack_status(struct __sk_buff *skb, struct xdp_md *xdp,
							 const struct ct_tuple *t)
{
	return ask_nf_conntrack(skb, xdp, t, 0);
}

/* A datagram to this node that our flow f claims: does a MASQUERADE rule have the same port? It may
 * take any that nf_conntrack does not know, and of flows past the stack it knows nothing. It has
 * the older right then: our flow moves to another port with its client's next datagram.
 */
static __always_inline int is_masquerades_port(struct __sk_buff *skb, struct xdp_md *xdp,
					       const struct ct_tuple *t)
{
	return t->proto == IPPROTO_UDP_ && (nf_conntrack_status(skb, xdp, t) & NF_IPS_SRC_NAT);
}

/* f: the flow of a client's datagram. Has somebody else got its port: a flow of ours, since the LRU
 * dropped the reply half, or a MASQUERADE rule? The latter is asked once a second, when the flow is
 * touched.
 */
static __always_inline int is_port_lost(struct __sk_buff *skb, struct xdp_md *xdp, struct work *w,
					struct ct_flow *f)
{
	if (f->peer.proto != IPPROTO_UDP_ || !(f->flags & CT_F_PAST_STACK))
		return 0;
	return restore_peer(w, &w->pkt.tuple, f) ||
	       (is_idle(f, now_ns(), TOUCH_INTERVAL_NS) && is_masquerades_port(skb, xdp, &f->peer));
}
