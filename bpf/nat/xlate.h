/* SPDX-License-Identifier: GPL-2.0 */
/* Rewriting: a packet becomes the mirror of its flow's peer tuple. */
#pragma once
#include "../maps/scratch.h"
#include "../net/csum.h"
#include "../net/crc32c.h"

#define IP4_CSUM_OFF  10
#define IP4_SADDR_OFF 12
#define IP6_SADDR_OFF 8
#define TCP_CSUM_OFF  16
#define UDP_CSUM_OFF  6
#define SCTP_CRC_OFF  8

struct addr_pair {
	struct lb_addr src;
	struct lb_addr dst;
};

/* SCTP sums no addresses. A CRC of 0 is left to offload and stays; the packet must be whole. */
static __always_inline int xlate_sctp_skb(struct __sk_buff *skb, struct pkt *p, __u32 was_ports,
					  __u32 ports)
{
	__u32 len = p->l3_len - (p->l4_off - p->l3_off), crc;

	if (was_ports == ports)
		return 0;
	if (p->more_frags || bpf_skb_load_bytes(skb, p->l4_off + SCTP_CRC_OFF, &crc, sizeof(crc)))
		return -1;
	if (crc) {
		crc ^= crc32c_change(was_ports ^ ports, len);
		if (bpf_skb_store_bytes(skb, p->l4_off + SCTP_CRC_OFF, &crc, sizeof(crc),
					BPF_F_RECOMPUTE_CSUM))
			return -1;
	}
	return bpf_skb_store_bytes(skb, p->l4_off, &ports, sizeof(ports), BPF_F_RECOMPUTE_CSUM) ?
		   -1 :
		   0;
}

/* tc: only helpers know whether the L4 checksum is final, left to offload (then it holds the
 * pseudo-header alone) or summed by the device. Not inlined: three callers that call each other
 * would each hold its stack, too much for Linux 6.1, which rounds every frame up to 32 bytes.
 */
static __noinline int xlate_skb(struct __sk_buff *skb, struct pkt *p, const struct ct_tuple *peer)
{
	__u32 csum_off = p->l4_off + (p->tuple.proto == IPPROTO_TCP_ ? TCP_CSUM_OFF : UDP_CSUM_OFF);
	/* A UDP checksum of 0 means none, and stays. */
	__u64 mangled = p->tuple.proto == IPPROTO_UDP_ ? BPF_F_MARK_MANGLED_0 : 0;
	struct addr_pair now = {.src = peer->dst, .dst = peer->src};
	struct {
		__be16 sport;
		__be16 dport;
	} was_ports = {p->tuple.sport, p->tuple.dport}, ports = {peer->dport, peer->sport};
	__s64 diff;

	if (p->is_v4) {
		__be32 was4[2] = {p->tuple.src.w[3], p->tuple.dst.w[3]};
		__be32 now4[2] = {now.src.w[3], now.dst.w[3]};

		diff = bpf_csum_diff(was4, sizeof(was4), now4, sizeof(now4), 0);
		if (bpf_l3_csum_replace(skb, p->l3_off + IP4_CSUM_OFF, 0, diff, 0))
			return -1;
		if (bpf_skb_store_bytes(skb, p->l3_off + IP4_SADDR_OFF, now4, sizeof(now4), 0))
			return -1;
	} else {
		diff = bpf_csum_diff((__be32 *)&p->tuple.src, 32, (__be32 *)&now, 32, 0);
		/* IPv6 has no header checksum that would balance a device's sum (skb->csum) when
		 * addresses change, so that has to be told here.
		 */
		if (bpf_skb_store_bytes(skb, p->l3_off + IP6_SADDR_OFF, &now, sizeof(now),
					BPF_F_RECOMPUTE_CSUM))
			return -1;
	}
	if (!p->has_l4)
		return 0;
	if (p->tuple.proto == IPPROTO_SCTP_)
		return xlate_sctp_skb(skb, p, *(__u32 *)&was_ports, *(__u32 *)&ports);
	if (bpf_l4_csum_replace(skb, csum_off, 0, diff, BPF_F_PSEUDO_HDR | mangled))
		return -1;
	if (*(__u32 *)&was_ports == *(__u32 *)&ports)
		return 0;
	if (bpf_l4_csum_replace(skb, csum_off, *(__u32 *)&was_ports, *(__u32 *)&ports, mangled | 4))
		return -1;
	return bpf_skb_store_bytes(skb, p->l4_off, &ports, sizeof(ports), 0) ? -1 : 0;
}

/* XDP sees complete frames with final checksums and no options (pkt.plain): fixed offsets. */
static __always_inline int xlate_xdp(struct xdp_md *xdp, struct pkt *p, const struct ct_tuple *peer)
{
	void *data = (void *)(long)xdp->data, *data_end = (void *)(long)xdp->data_end;
	struct addr_pair now = {.src = peer->dst, .dst = peer->src};
	__be16 *ports;
	__u16 *csum;
	__s64 diff;

	if (p->is_v4) {
		struct iphdr *ip = data + ETH_HLEN;
		__be32 was4[2] = {p->tuple.src.w[3], p->tuple.dst.w[3]};
		__be32 now4[2] = {now.src.w[3], now.dst.w[3]};

		if ((void *)(ip + 1) > data_end)
			return -1;
		diff = bpf_csum_diff(was4, sizeof(was4), now4, sizeof(now4), 0);
		ip->check = csum_update(ip->check, diff);
		ip->saddr = now4[0];
		ip->daddr = now4[1];
		ports = data + ETH_HLEN + sizeof(struct iphdr);
	} else {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return -1;
		diff = bpf_csum_diff((__be32 *)&p->tuple.src, 32, (__be32 *)&now, 32, 0);
		__builtin_memcpy(&ip->saddr, &now, 32);
		ports = data + ETH_HLEN + sizeof(struct ipv6hdr);
	}
	if (p->tuple.proto == IPPROTO_TCP_)
		csum = (void *)ports + TCP_CSUM_OFF;
	else
		csum = (void *)ports + UDP_CSUM_OFF;
	if ((void *)(ports + 2) > data_end || (void *)(csum + 1) > data_end)
		return -1;
	if (p->tuple.proto == IPPROTO_TCP_ || *csum) {
		__be32 was = (__u32)ports[1] << 16 | ports[0];
		__be32 new = (__u32)peer->sport << 16 | peer->dport;

		diff = bpf_csum_diff(&was, 4, &new, 4, diff);
		*csum = csum_update(*csum, diff);
		if (p->tuple.proto == IPPROTO_UDP_ && !*csum)
			*csum = 0xffff;
	}
	ports[0] = peer->dport;
	ports[1] = peer->sport;
	return 0;
}

static __always_inline int set_ttl_skb(struct __sk_buff *skb, struct pkt *p, __u8 ttl)
{
	if (!p->is_v4)
		return bpf_skb_store_bytes(skb, p->l3_off + 7, &ttl, 1, BPF_F_RECOMPUTE_CSUM);
	/* TTL is the high byte of its 16-bit word. */
	if (bpf_l3_csum_replace(skb, p->l3_off + IP4_CSUM_OFF, bpf_htons((__u16)p->ttl << 8),
				bpf_htons((__u16)ttl << 8), 2))
		return -1;
	return bpf_skb_store_bytes(skb, p->l3_off + 8, &ttl, 1, 0);
}

/* A hop past the stack is a hop: the TTL goes down by one. Returns -1 when it is used up. */
static __always_inline int decrement_ttl_skb(struct __sk_buff *skb, struct pkt *p)
{
	return p->ttl <= 1 ? -1 : set_ttl_skb(skb, p, p->ttl - 1);
}

static __always_inline int decrement_ttl_xdp(struct xdp_md *xdp, struct pkt *p)
{
	void *data = (void *)(long)xdp->data, *data_end = (void *)(long)xdp->data_end;

	if (p->is_v4) {
		struct iphdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return -1;
		ip->ttl--;
		ip->check = csum_update(ip->check, (__u16)~bpf_htons(0x0100));
	} else {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return -1;
		ip->hop_limit--;
	}
	return 0;
}

static __always_inline int swap_macs_skb(struct __sk_buff *skb, const struct pkt *p)
{
	__u8 was[12], now[12];

	if (!p->l3_off)
		return 0;
	if (bpf_skb_load_bytes(skb, 0, was, 12))
		return -1;
	__builtin_memcpy(now, was + 6, 6);
	__builtin_memcpy(now + 6, was, 6);
	return bpf_skb_store_bytes(skb, 0, now, 12, 0);
}
