/* SPDX-License-Identifier: GPL-2.0 */
/* Ping to a service address that no interface owns is answered here, while somebody serves it. */
#pragma once
#include "xlate.h"

#define ICMP_ECHO        8
#define ICMP_ECHO_REPLY  0
#define ICMP6_ECHO       128
#define ICMP6_ECHO_REPLY 129

/* Turns an echo request to a service address into its reply. Returns 1 when it did, 0 when the
 * packet is something else, < 0 on failure.
 */
static __always_inline int answer_echo(struct __sk_buff *skb, struct work *w)
{
	struct pkt *p = &w->pkt;
	struct ct_tuple *t = &p->tuple;
	struct addr_pair now = {.src = t->dst, .dst = t->src};
	struct lb_address *address;
	__be16 was_type, now_type;

	if (bpf_skb_load_bytes(skb, p->l4_off, &was_type, sizeof(was_type)))
		return 0;
	if (was_type != bpf_htons((p->is_v4 ? ICMP_ECHO : ICMP6_ECHO) << 8))
		return 0;
	address = bpf_map_lookup_elem(&lb_addresses, &t->dst);
	if (!address || (address->flags & (ADDRESS_F_ECHO | ADDRESS_F_NODE)) != ADDRESS_F_ECHO)
		return 0;
	now_type = bpf_htons((p->is_v4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY) << 8);
	/* Swapping the addresses changes no sum. */
	if (bpf_l4_csum_replace(skb, p->l4_off + 2, was_type, now_type, 2) ||
	    bpf_skb_store_bytes(skb, p->l4_off, &now_type, sizeof(now_type), 0))
		return -1;
	if (p->is_v4) {
		__be32 now4[2] = {now.src.w[3], now.dst.w[3]};

		if (bpf_skb_store_bytes(skb, p->l3_off + IP4_SADDR_OFF, now4, sizeof(now4), 0))
			return -1;
	} else if (bpf_skb_store_bytes(skb, p->l3_off + IP6_SADDR_OFF, &now, sizeof(now), 0)) {
		return -1;
	}
	if (set_ttl_skb(skb, p, 64))
		return -1;
	return swap_macs_skb(skb, p) ? -1 : 1;
}
