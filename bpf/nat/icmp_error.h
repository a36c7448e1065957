/* SPDX-License-Identifier: GPL-2.0 */
/* ICMP and ICMPv6 errors about translated packets. The quoted packet is one that the receiver of
 * the error sent, as it looked behind our translation; its mirror is therefore the key of the flow
 * direction that brings the error back, and the quote must become that flow's peer tuple:
 *
 *   client -> frontend  becomes  client' -> backend   on the way out
 *   error quoting client' -> backend: key backend -> client' (REPLY), peer = client -> frontend
 *
 * The same holds the other way round. Errors that match no flow pass untouched and create nothing;
 * redirects are never translated.
 */
#pragma once
#include "xlate.h"
#include "../ct/flow.h"

#define IP6_FRAGMENT 44

struct icmp_error {
	__u32 icmp_off;
	__u32 inner_l3_off;
	__u32 inner_l4_off;
	__u32 has_inner_csum;
	__u32 inner_csum_off;
	struct lb_addr inner_dst; /* before translation */
};

static __always_inline int is_icmp_error(const struct pkt *p, __u8 type)
{
	if (p->is_v4)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

/* Reads the quoted packet. On 0 p->tuple is the *mirror* of the quote (proto included), while the
 * outer addresses go to outer.
 */
static __always_inline int parse_icmp_error(struct __sk_buff *skb, struct work *w,
					    struct icmp_error *e, struct addr_pair *outer)
{
	struct pkt *p = &w->pkt;
	struct ct_tuple *t = &p->tuple;
	__u32 csum_at;
	struct {
		__be16 sport;
		__be16 dport;
	} ports;
	__u8 type;

	e->icmp_off = p->l4_off;
	if (bpf_skb_load_bytes(skb, e->icmp_off, &type, 1) || !is_icmp_error(p, type))
		return -1;
	outer->src = t->src;
	outer->dst = t->dst;
	e->inner_l3_off = e->icmp_off + 8;
	if (p->is_v4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, e->inner_l3_off, &ip, sizeof(ip)) || ip.version != 4 ||
		    ip.ihl < 5 || (ip.frag_off & bpf_htons(0x1fff)))
			return -1;
		e->inner_l4_off = e->inner_l3_off + ip.ihl * 4;
		t->proto = ip.protocol;
		addr_from_v4(&t->src, ip.daddr);
		addr_from_v4(&t->dst, ip.saddr);
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, e->inner_l3_off, &ip, sizeof(ip)) || ip.version != 6)
			return -1;
		e->inner_l4_off = e->inner_l3_off + sizeof(ip);
		t->proto = ip.nexthdr;
		__builtin_memcpy(&t->src, &ip.daddr, 16);
		__builtin_memcpy(&t->dst, &ip.saddr, 16);
		/* "Too big" about a datagram that its sender has cut up already. */
		if (ip.nexthdr == IP6_FRAGMENT) {
			struct ip6_frag_hdr frag;

			if (bpf_skb_load_bytes(skb, e->inner_l4_off, &frag, sizeof(frag)) ||
			    (frag.off_flags & bpf_htons(0xfff8)))
				return -1;
			e->inner_l4_off += sizeof(frag);
			t->proto = frag.next;
		}
	}
	if (!has_ports(t->proto) || e->inner_l4_off + sizeof(ports) > p->l3_off + p->l3_len)
		return -1;
	if (bpf_skb_load_bytes(skb, e->inner_l4_off, &ports, sizeof(ports)))
		return -1;
	t->sport = ports.dport;
	t->dport = ports.sport;
	e->inner_dst = t->src;
	csum_at = t->proto == IPPROTO_TCP_ ? TCP_CSUM_OFF : UDP_CSUM_OFF;
	e->inner_csum_off = e->inner_l4_off + csum_at;
	/* An SCTP CRC can't be updated without the whole packet, and nobody checks it in a quote.
	 */
	e->has_inner_csum =
	    t->proto != IPPROTO_SCTP_ && e->inner_csum_off + 2 <= p->l3_off + p->l3_len;
	return 0;
}

static __always_inline void write_pair(struct addr_pair *pair, const struct lb_addr *src,
				       const struct lb_addr *dst)
{
	pair->src = *src;
	pair->dst = *dst;
}

/* Changes 16 bits under the ICMP checksum, at most one field per call. */
static __always_inline int replace_u16(struct __sk_buff *skb, __u32 csum_off, __u32 off, __u16 was,
				       __u16 now)
{
	if (was == now)
		return 0;
	if (bpf_l4_csum_replace(skb, csum_off, was, now, 2))
		return -1;
	return bpf_skb_store_bytes(skb, off, &now, 2, 0) ? -1 : 0;
}

/* Addresses at off..; returns the checksum difference in *diff. */
static __always_inline int replace_addrs(struct __sk_buff *skb, const struct pkt *p, __u32 l3_off,
					 struct addr_pair *was, struct addr_pair *now, __u32 *diff)
{
	if (p->is_v4) {
		__be32 was4[2] = {was->src.w[3], was->dst.w[3]};
		__be32 now4[2] = {now->src.w[3], now->dst.w[3]};

		*diff = bpf_csum_diff(was4, sizeof(was4), now4, sizeof(now4), 0);
		if (bpf_l3_csum_replace(skb, l3_off + IP4_CSUM_OFF, 0, *diff, 0))
			return -1;
		return bpf_skb_store_bytes(skb, l3_off + IP4_SADDR_OFF, now4, sizeof(now4), 0) ?
			   -1 :
			   0;
	}
	*diff = bpf_csum_diff((__be32 *)was, sizeof(*was), (__be32 *)now, sizeof(*now), 0);
	return bpf_skb_store_bytes(skb, l3_off + IP6_SADDR_OFF, now, sizeof(*now), 0) ? -1 : 0;
}

/* w->reply: the flow's peer tuple, which the quote becomes. The ICMP message's own sum does not
 * change in the end, so skb->csum needs no care.
 */
static __always_inline int xlate_icmp_error(struct __sk_buff *skb, struct work *w,
					    const struct icmp_error *e, struct addr_pair *outer,
					    struct addr_pair *new_outer)
{
	struct ct_tuple *t = &w->pkt.tuple, *peer = &w->reply;
	__u32 icmp_csum_off = e->icmp_off + 2, addr_diff, outer_diff, diff;
	struct addr_pair was, now;
	__u32 was_ports, now_ports;
	__u16 csum;

	/* t is the mirror of the quote. */
	write_pair(&was, &t->dst, &t->src);
	write_pair(&now, &peer->src, &peer->dst);
	if (replace_addrs(skb, &w->pkt, e->inner_l3_off, &was, &now, &addr_diff))
		return -1;
	/* In IPv4 the quoted header's own checksum has balanced the change. */
	if (!w->pkt.is_v4 && bpf_l4_csum_replace(skb, icmp_csum_off, 0, addr_diff, 0))
		return -1;
	was_ports = (__u32)t->sport << 16 | t->dport;
	now_ports = (__u32)peer->dport << 16 | peer->sport;
	diff = bpf_csum_diff(&was_ports, 4, &now_ports, 4, addr_diff);
	if (replace_u16(skb, icmp_csum_off, e->inner_l4_off, t->dport, peer->sport) ||
	    replace_u16(skb, icmp_csum_off, e->inner_l4_off + 2, t->sport, peer->dport))
		return -1;
	if (e->has_inner_csum) {
		if (bpf_skb_load_bytes(skb, e->inner_csum_off, &csum, 2))
			return -1;
		if (csum || t->proto == IPPROTO_TCP_) {
			if (replace_u16(skb, icmp_csum_off, e->inner_csum_off, csum,
					csum_update(csum, diff)))
				return -1;
		}
	}
	if (replace_addrs(skb, &w->pkt, w->pkt.l3_off, outer, new_outer, &outer_diff))
		return -1;
	/* ICMPv6 sums the addresses, ICMP does not. */
	if (!w->pkt.is_v4 && bpf_l4_csum_replace(skb, icmp_csum_off, 0, outer_diff, 0))
		return -1;
	return 0;
}
