/* SPDX-License-Identifier: GPL-2.0 */
/* Room in a full ct_flows. The agent's sweeper takes out what has ended long before the table is
 * full; when no agent runs, or connections begin faster than it sweeps, packets do it themselves.
 */
#pragma once
#include "flow.h"

#define RECLAIM_IDLE_NS (2 * NSEC_PER_SEC) /* as the sweeper's in a full table */
/* Of a table that is larger the first part: hashing spreads what has ended over all of it. */
#define RECLAIM_VISITS   131072
#define RECLAIM_PAUSE_NS NSEC_PER_SEC

struct reclaim_walk {
	__u64 now;
	__u32 visited;
	__u32 found;
};

static __always_inline int is_reclaimable(const struct ct_flow *f, __u64 now)
{
	return is_closing(f) && is_idle(f, now, RECLAIM_IDLE_NS);
}

struct bpf_map;

/* Callback of the walk. It only notes: an entry that is deleted may be used again, in another
 * bucket, before the walk has left it.
 */
static long note_reclaimable(struct bpf_map *map, const struct ct_tuple *key, struct ct_flow *f,
			     struct reclaim_walk *walk)
{
	struct work *w;

	if (++walk->visited > RECLAIM_VISITS)
		return 1;
	if (!is_reclaimable(f, walk->now))
		return 0;
	w = get_work();
	if (!w || walk->found >= RECLAIM_BATCH)
		return 1;
	w->reclaimed[walk->found & (RECLAIM_BATCH - 1)] = *key;
	return ++walk->found == RECLAIM_BATCH;
}

/* Removes the pair of w->reclaimed[i] unless either half was used lately. Returns 1 when it did. */
__noinline int reclaim_pair(__u32 i)
{
	struct work *w = get_work();
	struct ct_flow *f, *peer;
	struct ct_tuple *t;
	__u64 now = now_ns();

	if (!w)
		return 0;
	t = &w->reclaimed[i & (RECLAIM_BATCH - 1)];
	f = bpf_map_lookup_elem(&ct_flows, t);
	if (!f || !is_reclaimable(f, now))
		return 0;
	w->reclaimed_peer = f->peer;
	peer = bpf_map_lookup_elem(&ct_flows, &w->reclaimed_peer);
	if (!peer || !is_same_tuple(&peer->peer, t)) {
		bpf_map_delete_elem(&ct_flows, t);
		return 1;
	}
	if (!is_reclaimable(peer, now))
		return 0;
	/* The original half first: while the reply half stands, nobody else can take its tuple. */
	bpf_map_delete_elem(&ct_flows, t->dir == CT_REPLY ? &w->reclaimed_peer : t);
	bpf_map_delete_elem(&ct_flows, t->dir == CT_REPLY ? t : &w->reclaimed_peer);
	return 1;
}

/* Makes room for some pairs; returns for how many. When the walk found less than it can note, this
 * CPU does not walk again for a while: it would find next to nothing, and a walk costs
 * milliseconds.
 */
__noinline int reclaim_flows(void)
{
	struct work *w = get_work();
	struct reclaim_walk walk = {.now = now_ns()};
	int reclaimed = 0;

	if (!w || walk.now < w->reclaim_again_ns)
		return 0;
	bpf_for_each_map_elem(&ct_flows, note_reclaimable, &walk, 0);
	for (__u32 i = 0; i < RECLAIM_BATCH; i++) {
		if (i >= walk.found)
			break;
		reclaimed += reclaim_pair(i);
	}
	if (walk.found < RECLAIM_BATCH)
		w->reclaim_again_ns = walk.now + RECLAIM_PAUSE_NS;
	return reclaimed;
}
