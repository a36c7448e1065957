/* SPDX-License-Identifier: GPL-2.0 */
/* Room in a full ct_flows. The agent's sweeper takes out what has ended long before the table is
 * full; when no agent runs, or connections begin faster than it sweeps, packets do it themselves:
 * what ends is noted in a queue, and who finds the table full takes the oldest from there. (A walk
 * through the table cannot go on where it stopped, and a whole one was measured at 130 ms.)
 */
#pragma once
#include "flow.h"

#define RECLAIM_IDLE_NS (2 * NSEC_PER_SEC) /* as the sweeper's in a full table */
/* Who finds the table full makes room for others too. Most notes are stale while an agent sweeps.
 */
#define RECLAIM_LOOKS 32

enum reclaim_result {
	RECLAIM_STALE = 0, /* gone, or alive again */
	RECLAIM_DONE = 1,
	RECLAIM_YOUNG = 2, /* its last ACKs may be under way */
};

static __always_inline void note_closed(const struct ct_tuple *original)
{
	bpf_map_push_elem(&ct_closed, original, BPF_EXIST);
}

static __always_inline int is_reclaimable(const struct ct_flow *f, __u64 now)
{
	return is_closing(f) && is_idle(f, now, RECLAIM_IDLE_NS);
}

/* Removes the pair of w->closed, an original key, if it has ended and neither half was used lately.
 */
__noinline int reclaim_pair(void)
{
	struct work *w = get_work();
	struct ct_flow *f, *peer;
	__u64 now = now_ns();

	if (!w)
		return RECLAIM_STALE;
	f = bpf_map_lookup_elem(&ct_flows, &w->closed);
	if (!f || !is_closing(f))
		return RECLAIM_STALE;
	if (!is_reclaimable(f, now))
		return RECLAIM_YOUNG;
	w->closed_peer = f->peer;
	peer = bpf_map_lookup_elem(&ct_flows, &w->closed_peer);
	if (peer && is_same_tuple(&peer->peer, &w->closed)) {
		if (!is_reclaimable(peer, now))
			return RECLAIM_YOUNG;
	} else {
		peer = NULL;
	}
	/* The original half first: while the reply half stands, nobody else can take its tuple. */
	bpf_map_delete_elem(&ct_flows, &w->closed);
	if (peer)
		bpf_map_delete_elem(&ct_flows, &w->closed_peer);
	return RECLAIM_DONE;
}

/* The oldest note. Returns 0 when it may be worth to look at the next one. */
__noinline int reclaim_next(void)
{
	struct work *w = get_work();

	if (!w || bpf_map_pop_elem(&ct_closed, &w->closed))
		return -1;
	if (reclaim_pair() != RECLAIM_YOUNG)
		return 0;
	/* Those behind it are younger still. */
	note_closed(&w->closed);
	return -1;
}

/* Makes room for some pairs, if there are any to be had. */
static __always_inline void reclaim_flows(void)
{
	for (int i = 0; i < RECLAIM_LOOKS; i++) {
		if (reclaim_next())
			break;
	}
}
