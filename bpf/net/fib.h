/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../maps/scratch.h"

#define FIB_CACHE_NS NSEC_PER_SEC

/* Routes src -> dst as if it came in by ifindex. Fills w->fib; returns BPF_FIB_LKUP_RET_* or < 0.
 * On SUCCESS and NO_NEIGH w->fib.ifindex is the way out and w->fib.mtu_result its MTU, 0 when
 * the kernel did not tell.
 */
static __always_inline long lookup_route(void *ctx, struct work *w, __u32 ifindex,
					 const struct lb_addr *src, const struct lb_addr *dst)
{
	struct bpf_fib_lookup *fib = &w->fib;
	long rc;

	__builtin_memset(fib, 0, sizeof(*fib));
	fib->ifindex = ifindex;
	fib->l4_protocol = w->pkt.tuple.proto;
	/* Any length makes the helper report the route's MTU; the comparison is ours. */
	fib->tot_len = 1;
	if (w->pkt.is_v4) {
		fib->family = AF_INET_;
		fib->ipv4_src = src->w[3];
		fib->ipv4_dst = dst->w[3];
	} else {
		fib->family = AF_INET6_;
		__builtin_memcpy(fib->ipv6_src, src, 16);
		__builtin_memcpy(fib->ipv6_dst, dst, 16);
	}
	rc = bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
	if (rc != BPF_FIB_LKUP_RET_SUCCESS)
		fib->mtu_result = 0;
	return rc;
}

static __always_inline __u32 device_class(__u32 ifindex)
{
	struct lb_device *dev = bpf_map_lookup_elem(&lb_devices, &ifindex);

	return dev ? dev->class_ : 0;
}

/* The bridge that a pod's device is a port of; 0: none. */
static __always_inline __u32 bridge_of(__u32 ifindex)
{
	struct lb_device *dev = bpf_map_lookup_elem(&lb_devices, &ifindex);

	return dev ? dev->bridge : 0;
}

static __always_inline int is_next_hop_valid(const struct ct_next_hop *nh)
{
	return nh->ifindex && nh->generation == (__u32)fib_generation() &&
	       bpf_ktime_get_coarse_ns() < nh->expires_ns;
}

static __always_inline void store_next_hop(struct ct_next_hop *nh, const struct bpf_fib_lookup *fib)
{
	nh->expires_ns = bpf_ktime_get_coarse_ns() + FIB_CACHE_NS;
	nh->generation = fib_generation();
	nh->mtu = fib->mtu_result;
	__builtin_memcpy(nh->dmac, fib->dmac, 6);
	__builtin_memcpy(nh->smac, fib->smac, 6);
	nh->ifindex = fib->ifindex;
}
