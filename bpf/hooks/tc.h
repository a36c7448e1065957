/* SPDX-License-Identifier: GPL-2.0 */
/* The tc programs: parse, then the side that the packet is on. */
#pragma once
#include "client.h"
#include "icmp.h"
#include "reply.h"

#define PACKET_HOST_ 0   /* skb->pkt_type: to us */
#define HEADERS_MAX  160 /* linear is enough: Ethernet, IPv6 with extensions, TCP */

/* Whether parsing needs no byte behind the linear part. Nearly always so: TCP keeps its payload in
 * pages behind it. To pull those bytes in would copy the head of every packet that a local socket
 * sent, as the socket's own copy shares it.
 */
static __always_inline int are_headers_linear(struct __sk_buff *skb, __u32 l3_off)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + l3_off;
	struct ipv6hdr *ip6 = data + l3_off;

	if (data + HEADERS_MAX <= data_end)
		return 1;
	if ((void *)(ip + 1) > data_end)
		return 0;
	if (ip->version == 4 && ip->ihl == 5 && has_ports(ip->protocol))
		return (void *)(ip + 1) + l4_header_len(ip->protocol) <= data_end;
	if (ip->version != 6 || (void *)(ip6 + 1) > data_end || !has_ports(ip6->nexthdr))
		return 0;
	return (void *)(ip6 + 1) + l4_header_len(ip6->nexthdr) <= data_end;
}

static __always_inline int parse_skb(struct __sk_buff *skb, struct pkt *p, int is_bare)
{
	if (!are_headers_linear(skb, is_bare ? 0 : ETH_HLEN))
		bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX);
	if (is_bare)
		return parse_bare(p, (void *)(long)skb->data, (void *)(long)skb->data_end, skb->len,
				  skb->protocol);
	return parse_frame(p, (void *)(long)skb->data, (void *)(long)skb->data_end, skb->len);
}

/* Parses; on anything but a packet with ports *verdict is final. */
static __always_inline int is_port_packet(struct __sk_buff *skb, struct work *w, enum side side,
					  int is_bare, int *verdict)
{
	int parsed = parse_skb(skb, &w->pkt, is_bare);

	*verdict = parsed == PARSE_ICMP ? handle_icmp(skb, side) : TC_NEXT;
	return parsed == PARSE_OK;
}

static __always_inline int is_marked(const struct __sk_buff *skb)
{
	return skb->tc_index == TRANSLATED_MARK || skb->tc_index == ROUTED_MARK;
}

static __always_inline void clear_mark(struct __sk_buff *skb)
{
	if (is_marked(skb))
		skb->tc_index = 0;
}

/* Host side of a pod's veth: what the pod sends. */
SEC("tc")
int tc_pod_in(struct __sk_buff *skb)
{
	struct work *w = get_work();
	int verdict;

	if (!w)
		return TC_NEXT;
	clear_mark(skb);
	if (!is_port_packet(skb, w, SIDE_POD_IN, 0, &verdict))
		return verdict;
	return handle_client_side(skb, w, ORIGIN_POD);
}

/* Host side of a pod's veth: what the pod receives. */
SEC("tc")
int tc_pod_out(struct __sk_buff *skb)
{
	struct work *w = get_work();
	int is_reply, verdict;

	if (!w)
		return TC_NEXT;
	if (is_marked(skb)) {
		skb->tc_index = 0;
		return TC_NEXT;
	}
	if (!is_port_packet(skb, w, SIDE_OUT, 0, &verdict))
		return verdict;
	verdict = handle_reply(skb, w, &is_reply);
	if (is_reply || skb->ingress_ifindex)
		return verdict;
	return handle_own_direct(skb, w);
}

static __always_inline int handle_uplink_in(struct __sk_buff *skb, int is_bare)
{
	struct work *w = get_work();
	int verdict;

	clear_mark(skb);
	/* A frame for another host, seen by a promiscuous device, is not ours to answer; one with a
	 * VLAN tag comes again by the VLAN's own device, without it.
	 */
	if (!w || skb->pkt_type != PACKET_HOST_ || skb->vlan_present)
		return TC_NEXT;
	if (!is_port_packet(skb, w, SIDE_WIRE_IN, is_bare, &verdict))
		return verdict;
	return handle_client_side(skb, w, ORIGIN_WIRE);
}

static __always_inline int handle_uplink_out(struct __sk_buff *skb, int is_bare)
{
	struct work *w = get_work();
	int is_reply, verdict;

	/* A tagged frame has left by the VLAN's own device. */
	if (!w || skb->tc_index == TRANSLATED_MARK || skb->vlan_present)
		return TC_NEXT;
	if (!is_port_packet(skb, w, SIDE_OUT, is_bare, &verdict))
		return verdict;
	verdict = handle_reply(skb, w, &is_reply);
	if (is_reply || verdict != TC_NEXT)
		return verdict;
	/* Only what a local socket sent has not come in by a device. */
	if (!skb->ingress_ifindex)
		return handle_client_side(skb, w, ORIGIN_NODE);
	if (w->pkt.tuple.proto == IPPROTO_TCP_ && is_opening(&w->pkt))
		return handle_masqueraded(skb);
	return verdict;
}

/* Uplink or overlay: what comes from outside. */
SEC("tc")
int tc_uplink_in(struct __sk_buff *skb)
{
	return handle_uplink_in(skb, 0);
}

/* Uplink or overlay: what leaves, replies of local backends and this node's own packets. */
SEC("tc")
int tc_uplink_out(struct __sk_buff *skb)
{
	return handle_uplink_out(skb, 0);
}

/* The same for devices without Ethernet header: WireGuard, IPIP, tun. */
SEC("tc")
int tc_layer3_in(struct __sk_buff *skb)
{
	return handle_uplink_in(skb, 1);
}

SEC("tc")
int tc_layer3_out(struct __sk_buff *skb)
{
	return handle_uplink_out(skb, 1);
}
