/* SPDX-License-Identifier: GPL-2.0 */
/* What else may have the ends of a new flow, and packets that may not begin one. */
#pragma once
#include "check.h"
#include "netfilter.h"
#include "../net/fib.h"

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
