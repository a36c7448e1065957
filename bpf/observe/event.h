/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../maps/scratch.h"

static __always_inline void emit_event(struct work *w, __u16 kind, __u32 reason, __u32 service_id,
				       __u32 hook, __u32 ifindex)
{
	struct lb_event *e;

	if (!settings.event_sample || setting(SETTING_READ_ONLY))
		return;
	if (settings.event_sample > 1 && bpf_get_prandom_u32() % settings.event_sample)
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return;
	__builtin_memset(e, 0, sizeof(*e));
	e->time_ns = bpf_ktime_get_ns();
	e->tuple = w->pkt.tuple;
	e->kind = kind;
	e->reason = reason;
	e->service_id = service_id;
	e->ifindex = ifindex;
	e->hook = hook;
	if (kind == EVENT_NEW_FLOW) {
		e->backend = w->choice.addr;
		e->backend_port = w->choice.port;
		e->backend_id = w->choice.backend_id;
	}
	bpf_ringbuf_submit(e, 0);
}
