/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../compat.h"
#include "../abi/addr.h"

static __always_inline void addr_from_v4(struct lb_addr *addr, __be32 v4)
{
	addr->w[0] = 0;
	addr->w[1] = 0;
	addr->w[2] = bpf_htonl(0xffff);
	addr->w[3] = v4;
}

static __always_inline int addr_is_v4(const struct lb_addr *addr)
{
	return !addr->w[0] && !addr->w[1] && addr->w[2] == bpf_htonl(0xffff);
}

static __always_inline int addr_equal(const struct lb_addr *a, const struct lb_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

static __always_inline int addr_is_zero(const struct lb_addr *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}
