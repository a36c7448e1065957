/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../maps/maps.h"
#include "../maps/settings.h"

static __always_inline __u32 stats_shard(void)
{
	return bpf_get_smp_processor_id() & (STATS_SHARDS - 1);
}

static __always_inline struct stats_service *stats_of(__u32 service_id)
{
	__u32 index = service_id * STATS_SHARDS + stats_shard();

	return bpf_map_lookup_elem(&stats_services, &index);
}

/* Shards are shared by CPUs eight apart, hence the atomic adds. */
#define count(field, n)                                      \
	do {                                                 \
		if (!setting(SETTING_READ_ONLY))             \
			__sync_fetch_and_add(&(field), (n)); \
	} while (0)

static __always_inline void count_packet(__u32 service_id, __u32 bytes)
{
	struct stats_service *s = stats_of(service_id);

	if (s) {
		count(s->packets, 1);
		count(s->bytes, bytes);
	}
}

static __always_inline void count_reply(__u32 service_id, __u32 bytes)
{
	struct stats_service *s = stats_of(service_id);

	if (s) {
		count(s->reply_packets, 1);
		count(s->reply_bytes, bytes);
	}
}

static __always_inline void count_new_flow(__u32 service_id, __u32 backend_id)
{
	struct stats_service *s = stats_of(service_id);
	struct stats_backend *b = bpf_map_lookup_elem(&stats_backends, &backend_id);

	if (s)
		count(s->new_flows, 1);
	if (b)
		count(b->new_flows, 1);
}

static __always_inline void count_path(__u32 path, __u32 bytes)
{
	__u32 index = path * STATS_SHARDS + stats_shard();
	struct stats_path *s = bpf_map_lookup_elem(&stats_paths, &index);

	if (s) {
		count(s->packets, 1);
		count(s->bytes, bytes);
	}
}

static __always_inline void count_drop(__u32 reason)
{
	__u32 index = reason * STATS_SHARDS + stats_shard();
	struct stats_drop *s = bpf_map_lookup_elem(&stats_drops, &index);

	if (s)
		count(s->packets, 1);
}
