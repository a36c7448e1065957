/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../compat.h"

/* Folds a 32-bit ones' complement sum to 16 bits, not complemented. */
static __always_inline __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), where diff is ~m + m'. */
static __always_inline __u16 csum_update(__u16 csum, __u32 diff)
{
	__u32 sum = (__u16)~csum;

	sum += (diff & 0xffff) + (diff >> 16);
	return ~csum_fold(sum);
}
