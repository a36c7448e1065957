/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../compat.h"
#include "../abi/settings.h"
#include "../parse/addr.h"

/* Set by user space before load; the verifier removes the branches that it rules out. */
const volatile struct lb_settings settings = {
    .snat_port_min = 10000,
    .snat_port_max = 29999,
    .refusals_per_s = 1000,
};

#define setting(flag) (settings.flags & (flag))

/* Word by word and volatile: a memcpy would let clang fold in the value that the source gives. */
static __always_inline void setting_addr(struct lb_addr *to, const volatile struct lb_addr *from)
{
	to->w[0] = from->w[0];
	to->w[1] = from->w[1];
	to->w[2] = from->w[2];
	to->w[3] = from->w[3];
}

static __always_inline int is_setting_addr(const struct lb_addr *addr,
					   const volatile struct lb_addr *setting)
{
	return addr->w[0] == setting->w[0] && addr->w[1] == setting->w[1] &&
	       addr->w[2] == setting->w[2] && addr->w[3] == setting->w[3];
}
