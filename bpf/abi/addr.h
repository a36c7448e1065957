/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d, in network byte order. One form for both
 * families, so that lookup, selection, flows and NAT exist once.
 */
struct lb_addr {
	__be32 w[4];
};

_Static_assert(sizeof(struct lb_addr) == 16, "lb_addr is part of every key");
