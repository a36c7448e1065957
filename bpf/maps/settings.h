/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../compat.h"
#include "../abi/settings.h"

/* Set by user space before load; the verifier removes the branches that it rules out. */
const volatile struct lb_settings settings = {
	.snat_port_min = 10000,
	.snat_port_max = 29999,
	.refusals_per_s = 1000,
};

#define setting(flag) (settings.flags & (flag))
