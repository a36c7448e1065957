/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>

struct sample_key {
	__be16 port;
	__u16 zone;
	__u32 id;
};

#ifndef SAMPLE_OTHER_LAYOUT
struct sample_value {
	__u32 first;
	__u32 second;
	__u64 third;
};
#else
/* Same size, another meaning: only BTF can tell. */
struct sample_value {
	__u64 first;
	__u32 second;
	__u32 third;
};
#endif

struct sample_record {
	__u64 cookie;
	__u32 number;
	__u32 pad;
};
