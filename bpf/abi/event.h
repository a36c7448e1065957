/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "flow.h"

enum lb_event_kind {
	EVENT_NEW_FLOW = 1,
	EVENT_DROP = 2,
	EVENT_REFUSED = 3,
};

/* Ring buffer record; sampled. */
struct lb_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct ct_tuple tuple;
	struct lb_addr backend;
	__be16 backend_port;
	__u16 kind;   /* enum lb_event_kind */
	__u32 reason; /* enum drop_reason */
	__u32 service_id;
	__u32 backend_id;
	__u32 ifindex;
	__u32 hook; /* enum lb_hook */
};

enum lb_hook {
	HOOK_TC_INGRESS = 1,
	HOOK_TC_EGRESS = 2,
	HOOK_XDP = 3,
	HOOK_SOCK = 4,
};
