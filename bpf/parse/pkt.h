/* SPDX-License-Identifier: GPL-2.0 */
/* Bytes -> struct pkt. Every bounds check of an incoming packet is here. */
#pragma once
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "addr.h"
#include "../abi/flow.h"

enum parse_result {
	PARSE_OK = 0,
	PARSE_NOT_OURS = 1, /* not IP, or a protocol without ports: leave alone */
	PARSE_BAD = 2,      /* truncated or contradicting itself */
	PARSE_ICMP = 3,     /* ICMP or ICMPv6, at l4_off; tuple has the addresses */
};

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

struct pkt {
	struct ct_tuple tuple; /* as it arrived; dir set by the caller */
	__u32 l3_off;          /* 0: no Ethernet header */
	__u32 l4_off;
	__u32 l3_len; /* what the IP header says, padding excluded */
	__be32 tcp_seq;
	__be32 tcp_ack;
	__u32 frag_id;
	__u16 tcp_hdr_len;
	__u8 tcp_flags;
	__u8 is_v4;
	__u8 has_l4;     /* 0 for a fragment after the first */
	__u8 more_frags; /* the first of several fragments */
	__u8 dont_frag;
	__u8 ttl;
	__u8 plain;      /* no IPv4 options, no extension headers, no fragment */
	__u8 sctp_chunk; /* type of the first chunk */
	__u8 pad[2];
};

#define SCTP_HLEN 12
#define SCTP_INIT 1

static __always_inline int has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP_ || proto == IPPROTO_UDP_ || proto == IPPROTO_SCTP_;
}

/* The least that a packet has behind its IP header; SCTP has a chunk. */
static __always_inline __u32 l4_header_len(__u8 proto)
{
	return proto == IPPROTO_TCP_  ? sizeof(struct tcphdr) :
	       proto == IPPROTO_SCTP_ ? SCTP_HLEN + 1 :
					8;
}

#define IP6_MAX_EXT 6

struct ip6_frag_hdr {
	__u8 next;
	__u8 reserved;
	__be16 off_flags;
	__be32 id;
};

static __always_inline int parse_ports(struct pkt *p, void *data, void *data_end, __u32 off)
{
	__be16 *ports;

	/* Ethernet padding is no header. */
	if (off + l4_header_len(p->tuple.proto) > p->l3_off + p->l3_len)
		return PARSE_BAD;
	/* verifier: without the mask clang 14 loses the bound of the variable offset */
	off &= 0x1ff;
	p->l4_off = off;
	ports = data + off;
	if (p->tuple.proto == IPPROTO_TCP_) {
		struct tcphdr *tcp = data + off;

		if ((void *)(tcp + 1) > data_end)
			return PARSE_BAD;
		p->tuple.sport = tcp->source;
		p->tuple.dport = tcp->dest;
		p->tcp_seq = tcp->seq;
		p->tcp_ack = tcp->ack_seq;
		p->tcp_hdr_len = tcp->doff * 4;
		p->tcp_flags = ((__u8 *)tcp)[13];
		return PARSE_OK;
	}
	if (p->tuple.proto == IPPROTO_UDP_) {
		if ((void *)(ports + 4) > data_end)
			return PARSE_BAD;
		p->tuple.sport = ports[0];
		p->tuple.dport = ports[1];
		return PARSE_OK;
	}
	if (p->tuple.proto == IPPROTO_SCTP_) {
		__u8 *chunk = data + off + SCTP_HLEN;

		if ((void *)(chunk + 1) > data_end)
			return PARSE_BAD;
		p->tuple.sport = ports[0];
		p->tuple.dport = ports[1];
		p->sctp_chunk = *chunk;
		return PARSE_OK;
	}
	return PARSE_NOT_OURS;
}

static __always_inline int parse_v4(struct pkt *p, void *data, void *data_end)
{
	struct iphdr *ip = data + p->l3_off;
	__u32 frag, ihl;

	if ((void *)(ip + 1) > data_end)
		return PARSE_BAD;
	ihl = ip->ihl * 4;
	if (ip->version != 4 || ihl < sizeof(*ip))
		return PARSE_BAD;
	p->is_v4 = 1;
	p->ttl = ip->ttl;
	p->tuple.proto = ip->protocol;
	addr_from_v4(&p->tuple.src, ip->saddr);
	addr_from_v4(&p->tuple.dst, ip->daddr);
	if (!has_ports(ip->protocol) && ip->protocol != IPPROTO_ICMP_)
		return PARSE_NOT_OURS;
	if (bpf_ntohs(ip->tot_len) > p->l3_len || bpf_ntohs(ip->tot_len) < ihl) {
		/* A GSO packet above 64 KiB carries 0. */
		if (ip->tot_len)
			return PARSE_BAD;
	} else {
		/* A short frame is padded. */
		p->l3_len = bpf_ntohs(ip->tot_len);
	}
	frag = bpf_ntohs(ip->frag_off);
	p->dont_frag = !!(frag & 0x4000);
	p->more_frags = !!(frag & 0x2000);
	p->has_l4 = !(frag & 0x1fff);
	p->frag_id = ip->id;
	p->plain = ihl == sizeof(*ip) && !(frag & 0x3fff);
	if (ip->protocol == IPPROTO_ICMP_) {
		p->l4_off = p->l3_off + ihl;
		if (frag & 0x3fff)
			return PARSE_NOT_OURS;
		return ihl + l4_header_len(ip->protocol) > p->l3_len ? PARSE_BAD : PARSE_ICMP;
	}
	if (!p->has_l4) {
		p->l4_off = p->l3_off + ihl;
		return PARSE_OK;
	}
	return parse_ports(p, data, data_end, p->l3_off + ihl);
}

static __always_inline int parse_v6(struct pkt *p, void *data, void *data_end)
{
	struct ipv6hdr *ip = data + p->l3_off;
	__u32 off = p->l3_off + sizeof(*ip);
	__u8 next;

	if ((void *)(ip + 1) > data_end)
		return PARSE_BAD;
	if (ip->version != 6)
		return PARSE_BAD;
	if (bpf_ntohs(ip->payload_len) + sizeof(*ip) > p->l3_len)
		return PARSE_BAD;
	if (ip->payload_len)
		p->l3_len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	p->is_v4 = 0;
	p->ttl = ip->hop_limit;
	p->dont_frag = 1;
	p->has_l4 = 1;
	p->plain = 1;
	__builtin_memcpy(&p->tuple.src, &ip->saddr, 16);
	__builtin_memcpy(&p->tuple.dst, &ip->daddr, 16);
	/* ::ffff:a.b.c.d on a wire is nobody; here it would be IPv4's a.b.c.d. */
	if (addr_is_v4(&p->tuple.src) || addr_is_v4(&p->tuple.dst))
		return PARSE_NOT_OURS;
	next = ip->nexthdr;
	if (next == IPPROTO_ICMPV6_) {
		p->tuple.proto = next;
		p->l4_off = off;
		return sizeof(*ip) + l4_header_len(next) > p->l3_len ? PARSE_BAD : PARSE_ICMP;
	}
#pragma unroll
	for (int i = 0; i < IP6_MAX_EXT; i++) {
		__u8 *ext;

		if (has_ports(next))
			break;
		p->plain = 0;
		off &= 0x1ff;
		ext = data + off;
		if (next == 44) {
			struct ip6_frag_hdr *f = (void *)ext;

			if ((void *)(f + 1) > data_end)
				return PARSE_BAD;
			p->frag_id = f->id;
			p->has_l4 = !(bpf_ntohs(f->off_flags) & 0xfff8);
			p->more_frags = bpf_ntohs(f->off_flags) & 1;
			next = f->next;
			off += sizeof(*f);
			if (!p->has_l4)
				break;
			continue;
		}
		if (next != 0 && next != 43 && next != 60)
			return PARSE_NOT_OURS;
		if ((void *)(ext + 8) > data_end)
			return PARSE_BAD;
		next = ext[0];
		off += (ext[1] + 1) * 8;
		if (off > 0x1c0)
			return PARSE_NOT_OURS;
	}
	if (!has_ports(next))
		return PARSE_NOT_OURS;
	p->tuple.proto = next;
	if (!p->has_l4) {
		p->l4_off = off;
		return PARSE_OK;
	}
	return parse_ports(p, data, data_end, off);
}

/* Fills p from a packet that begins with its IP header: l3_off is 0 then. protocol: ETH_P_* in
 * network order.
 */
static __always_inline int parse_bare(struct pkt *p, void *data, void *data_end, __u32 len,
				      __u32 protocol)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->l3_len = len;
	if (protocol == bpf_htons(ETH_P_IPV4))
		return parse_v4(p, data, data_end);
	if (protocol == bpf_htons(ETH_P_IPV6_))
		return parse_v6(p, data, data_end);
	return PARSE_NOT_OURS;
}

/* Fills p from an Ethernet frame of frame_len bytes whose headers are linear. */
static __always_inline int parse_frame(struct pkt *p, void *data, void *data_end, __u32 frame_len)
{
	struct ethhdr *eth = data;

	__builtin_memset(p, 0, sizeof(*p));
	if ((void *)(eth + 1) > data_end)
		return PARSE_NOT_OURS;
	p->l3_off = ETH_HLEN;
	p->l3_len = frame_len - ETH_HLEN;
	if (eth->h_proto == bpf_htons(ETH_P_IPV4))
		return parse_v4(p, data, data_end);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6_))
		return parse_v6(p, data, data_end);
	return PARSE_NOT_OURS;
}
