/* SPDX-License-Identifier: GPL-2.0 */
/* The one way out for a packet that is dropped: counted by reason, by service, and reported. */
#pragma once
#include "event.h"

static __always_inline int drop_skb(struct __sk_buff *skb, struct work *w, __u32 reason,
				    __u32 service_id)
{
	struct stats_service *s;

	count_drop(reason);
	if (service_id) {
		s = stats_of(service_id);
		if (s)
			count(s->dropped, 1);
	}
	emit_event(w, EVENT_DROP, reason, service_id, HOOK_TC_INGRESS, skb->ifindex);
	return TC_SHOT;
}
