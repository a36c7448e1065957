/* SPDX-License-Identifier: GPL-2.0 */
/* Refusals made by us: TCP RST and ICMP/ICMPv6 errors (port unreachable, packet too big), sent back
 * to where the packet came from. tc only; XDP hands the packet up unmodified instead.
 *
 * A sender's checksum that is left to offload (CHECKSUM_PARTIAL: the field holds the pseudo-header
 * sum, the device finishes it at a fixed place in the buffer) stays in that state whatever a
 * program does to the packet. So a RST keeps the TCP header where it was, and an ICMP error is made
 * by putting headers *before* the packet: the device then finishes the quoted checksum. What the
 * finished quote will sum up to is known beforehand: minus the pseudo-header sum.
 */
#pragma once
#include "../maps/scratch.h"
#include "../nat/xlate.h"

#define ICMP_DEST_UNREACH    3
#define ICMP_PORT_UNREACH    3
#define ICMP_FRAG_NEEDED     4
#define ICMP6_DEST_UNREACH   1
#define ICMP6_PORT_UNREACH   4
#define ICMP6_PACKET_TOO_BIG 2

enum refusal {
	REFUSE_UNREACHABLE = 0,
	REFUSE_TOO_BIG = 1,
};

struct icmp_msg {
	__u8 type;
	__u8 code;
	__u16 csum;
	__be32 info; /* MTU; in IPv4 its low half */
};

struct out4 {
	struct ethhdr eth;
	struct iphdr ip;
	struct icmp_msg icmp;
} __attribute__((packed));

struct out6 {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct icmp_msg icmp;
} __attribute__((packed));

static __always_inline int is_refusal_allowed(struct work *w)
{
	__u64 now = bpf_ktime_get_ns();

	if (now - w->refusal_window_ns >= NSEC_PER_SEC) {
		w->refusal_window_ns = now;
		w->refusals = 0;
	}
	return ++w->refusals <= settings.refusals_per_s;
}

/* Is the checksum at off left to offload? A replacement that is not of the pseudo-header changes
 * the field only when it is final. Undone before returning. < 0 on failure.
 */
static __always_inline int is_csum_partial(struct __sk_buff *skb, __u32 off)
{
	__u16 before, after;

	if (bpf_skb_load_bytes(skb, off, &before, 2))
		return -1;
	if (bpf_l4_csum_replace(skb, off, 0, 1, 2) || bpf_skb_load_bytes(skb, off, &after, 2))
		return -1;
	if (before == after)
		return 1;
	return bpf_skb_store_bytes(skb, off, &before, 2, 0) ? -1 : 0;
}

static __always_inline __u32 pseudo_sum(const struct pkt *p, __u8 proto, __u32 len)
{
	__be32 tail[2] = {bpf_htonl(len), bpf_htonl(proto)};
	__u32 sum;

	/* The v4-mapped prefix of both addresses would add 2 * 0xffff, which is 0. */
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&p->tuple.src, 32, 0);
	return bpf_csum_diff(NULL, 0, tail, sizeof(tail), sum);
}

static __always_inline void fill_ip4(struct iphdr *ip, const struct pkt *p, __u8 proto, __u16 len)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(len);
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = 64;
	ip->protocol = proto;
	ip->saddr = p->tuple.dst.w[3];
	ip->daddr = p->tuple.src.w[3];
	ip->check = ~csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)ip, sizeof(*ip), 0));
}

static __always_inline void fill_ip6(struct ipv6hdr *ip, const struct pkt *p, __u8 proto, __u16 len)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(len);
	ip->nexthdr = proto;
	ip->hop_limit = 64;
	__builtin_memcpy(&ip->saddr, &p->tuple.dst, 16);
	__builtin_memcpy(&ip->daddr, &p->tuple.src, 16);
}

/* RFC 9293, 3.5.2: a reset in answer to a segment of a connection that does not exist. */
static __always_inline int build_rst(struct __sk_buff *skb, struct work *w)
{
	struct pkt *p = &w->pkt;
	struct tcphdr *tcp = (void *)w->out;
	__u32 ip_len = p->is_v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	int partial = is_csum_partial(skb, p->l4_off + TCP_CSUM_OFF);
	__u32 payload = p->l3_len - ip_len - p->tcp_hdr_len;
	__u32 sum;

	if (partial < 0 || !p->plain || p->tcp_hdr_len < 20 || payload > p->l3_len)
		return -1;
	__builtin_memset(w->out, 0, sizeof(*tcp));
	tcp->source = p->tuple.dport;
	tcp->dest = p->tuple.sport;
	tcp->doff = 5;
	tcp->rst = 1;
	if (p->tcp_flags & TCP_ACK) {
		tcp->seq = p->tcp_ack;
	} else {
		tcp->ack = 1;
		payload += !!(p->tcp_flags & TCP_SYN) + !!(p->tcp_flags & TCP_FIN);
		tcp->ack_seq = bpf_htonl(bpf_ntohl(p->tcp_seq) + payload);
	}
	sum = pseudo_sum(p, IPPROTO_TCP_, sizeof(*tcp));
	if (partial)
		tcp->check = csum_fold(sum);
	else
		tcp->check = ~csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)tcp, sizeof(*tcp), sum));
	if (bpf_skb_change_tail(skb, p->l3_off + ip_len + sizeof(*tcp), 0))
		return -1;
	if (bpf_skb_store_bytes(skb, p->l3_off + ip_len, tcp, sizeof(*tcp), 0))
		return -1;
	if (p->is_v4) {
		fill_ip4((void *)w->out, p, IPPROTO_TCP_, sizeof(struct iphdr) + sizeof(*tcp));
		return bpf_skb_store_bytes(skb, p->l3_off, w->out, sizeof(struct iphdr), 0);
	}
	fill_ip6((void *)w->out, p, IPPROTO_TCP_, sizeof(*tcp));
	return bpf_skb_store_bytes(skb, p->l3_off, w->out, sizeof(struct ipv6hdr), 0);
}

/* Sum of the quoted packet as its receiver will see it. quote: bytes of it that stay. */
static __always_inline int quote_sum(struct __sk_buff *skb, struct work *w, __u32 quote, __u32 *sum)
{
	struct pkt *p = &w->pkt;
	__u32 csum_off = p->l4_off + (p->tuple.proto == IPPROTO_TCP_ ? TCP_CSUM_OFF : UDP_CSUM_OFF);
	__u32 len = quote;
	int partial = 0;
	__u16 field = 0;

	if (p->has_l4 && p->tuple.proto != IPPROTO_SCTP_) {
		if (bpf_skb_load_bytes(skb, csum_off, &field, 2))
			return -1;
		/* A UDP checksum of 0 is none; the probe would not change it either. */
		partial = field ? is_csum_partial(skb, csum_off) : 0;
		if (partial < 0)
			return -1;
	}
	if (partial)
		len = p->l4_off - p->l3_off;
	__builtin_memset(w->quote, 0, sizeof(w->quote));
	/* Linux 6.1 does not conclude from "not 0" that it is at least 1; from a sum it does. */
	len--;
	barrier_var(len);
	if (len >= QUOTE_MAX)
		return -1;
	len++;
	if (bpf_skb_load_bytes(skb, p->l3_off, w->quote, len))
		return -1;
	*sum = bpf_csum_diff(NULL, 0, (__be32 *)w->quote, QUOTE_MAX, partial ? (__u16)~field : 0);
	return 0;
}

static __always_inline int build_icmp4(struct __sk_buff *skb, struct work *w, enum refusal what,
				       __u32 mtu)
{
	struct pkt *p = &w->pkt;
	struct out4 *out = (void *)w->out;
	__u32 quote = p->l3_len < QUOTE_MAX ? p->l3_len : QUOTE_MAX;
	__u32 sum;

	if ((p->l3_off && bpf_skb_load_bytes(skb, 0, &out->eth, sizeof(out->eth))) ||
	    quote_sum(skb, w, quote, &sum))
		return -1;
	if (bpf_skb_change_tail(skb, p->l3_off + quote, 0) ||
	    bpf_skb_adjust_room(skb, sizeof(*out) - ETH_HLEN, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	__builtin_memset(&out->icmp, 0, sizeof(out->icmp));
	out->icmp.type = ICMP_DEST_UNREACH;
	out->icmp.code = what == REFUSE_TOO_BIG ? ICMP_FRAG_NEEDED : ICMP_PORT_UNREACH;
	if (what == REFUSE_TOO_BIG)
		out->icmp.info = bpf_htonl(mtu & 0xffff);
	fill_ip4(&out->ip, p, IPPROTO_ICMP_, sizeof(*out) - ETH_HLEN + quote);
	/* Unaligned to four bytes on its own: sum a copy. */
	struct icmp_msg msg = out->icmp;
	out->icmp.csum = ~csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&msg, sizeof(msg), sum));
	if (!p->l3_off)
		return bpf_skb_store_bytes(skb, 0, &out->ip, sizeof(*out) - ETH_HLEN, 0);
	return bpf_skb_store_bytes(skb, 0, out, sizeof(*out), 0);
}

static __always_inline int build_icmp6(struct __sk_buff *skb, struct work *w, enum refusal what,
				       __u32 mtu)
{
	struct pkt *p = &w->pkt;
	struct out6 *out = (void *)w->out;
	__u32 quote = p->l3_len < QUOTE_MAX ? p->l3_len : QUOTE_MAX;
	__u32 sum;

	if ((p->l3_off && bpf_skb_load_bytes(skb, 0, &out->eth, sizeof(out->eth))) ||
	    quote_sum(skb, w, quote, &sum))
		return -1;
	if (bpf_skb_change_tail(skb, p->l3_off + quote, 0) ||
	    bpf_skb_adjust_room(skb, sizeof(*out) - ETH_HLEN, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	__builtin_memset(&out->icmp, 0, sizeof(out->icmp));
	out->icmp.type = what == REFUSE_TOO_BIG ? ICMP6_PACKET_TOO_BIG : ICMP6_DEST_UNREACH;
	out->icmp.code = what == REFUSE_TOO_BIG ? 0 : ICMP6_PORT_UNREACH;
	if (what == REFUSE_TOO_BIG)
		out->icmp.info = bpf_htonl(mtu);
	fill_ip6(&out->ip, p, IPPROTO_ICMPV6_, sizeof(out->icmp) + quote);
	/* Folded first: before Linux 6.13 a sum has 32 bits, and adding two loses the carry. */
	sum = csum_fold(sum) + csum_fold(pseudo_sum(p, IPPROTO_ICMPV6_, sizeof(out->icmp) + quote));
	struct icmp_msg msg = out->icmp;
	out->icmp.csum =
	    ~csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&msg, sizeof(msg), csum_fold(sum)));
	if (!p->l3_off)
		return bpf_skb_store_bytes(skb, 0, &out->ip, sizeof(*out) - ETH_HLEN, 0);
	return bpf_skb_store_bytes(skb, 0, out, sizeof(*out), 0);
}

/* Turns the packet into its refusal. Returns 0, or the drop reason. */
static __always_inline int build_refusal(struct __sk_buff *skb, struct work *w, enum refusal what,
					 __u32 mtu)
{
	struct pkt *p = &w->pkt;
	int err;

	if (!is_refusal_allowed(w))
		return DROP_REASON_REFUSAL_LIMIT;
	/* A reset is never answered, nor is a fragment after the first. */
	if (!p->has_l4 || (p->tuple.proto == IPPROTO_TCP_ && (p->tcp_flags & TCP_RST)))
		return DROP_REASON_REFUSAL_FAILED;
	/* A RST is built in place of a plain header; options and extensions get an ICMP error. */
	if (what == REFUSE_UNREACHABLE && p->tuple.proto == IPPROTO_TCP_ && p->plain)
		err = build_rst(skb, w);
	else if (p->is_v4)
		err = build_icmp4(skb, w, what, mtu);
	else
		err = build_icmp6(skb, w, what, mtu);
	if (err || swap_macs_skb(skb, p))
		return DROP_REASON_REFUSAL_FAILED;
	return 0;
}
