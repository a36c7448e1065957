// SPDX-License-Identifier: GPL-2.0
// Programs and maps for the tests of src/native: small enough that every effect can be counted.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "sample.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct sample_key);
	__type(value, struct sample_value);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 5000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} large SEC(".maps");

/* Value of 12 bytes: in memory each takes 16. */
struct triple {
	__u32 a, b, c;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct triple);
} triples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} per_cpu SEC(".maps");

struct lpm_key {
	__u32 prefix;
	__u32 data;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lpm_key);
	__type(value, __u32);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} records SEC(".maps");

const volatile __u32 answer = 41;
const volatile struct {
	__u64 limit;
	__u16 port;
	__u16 pad[3];
} limits = {};

static __always_inline void count(__u32 index)
{
	__u64 *slot = bpf_map_lookup_elem(&counters, &index);

	if (slot)
		__sync_fetch_and_add(slot, 1);
}

SEC("tcx/ingress")
int tc_answer(struct __sk_buff *skb)
{
	skb->mark = skb->mark + 1;
	return (int)answer + (int)limits.port;
}

/* First and last at a hook: each writes the order in which it ran (counters 8 and 9 from clock 10). */
static __always_inline void note_order(__u32 index)
{
	__u32 clock_index = 10;
	__u64 *clock = bpf_map_lookup_elem(&counters, &clock_index);
	__u64 *slot = bpf_map_lookup_elem(&counters, &index);

	if (clock && slot)
		*slot = __sync_fetch_and_add(clock, 1) + 1;
}

SEC("tc")
int tc_one(struct __sk_buff *skb)
{
	count(0);
	note_order(8);
	return -1; /* TCX_NEXT */
}

SEC("tc")
int tc_two(struct __sk_buff *skb)
{
	count(1);
	note_order(9);
	return -1;
}

SEC("tc")
int tc_tail(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &next, 0);
	return 7;
}

/* Writes the mapped array as fast as it can, for tests of torn reads. */
SEC("tc")
int tc_store(struct __sk_buff *skb)
{
	__u32 index = 3;
	__u64 *slot = bpf_map_lookup_elem(&counters, &index);

	if (slot)
		*(volatile __u64 *)slot = *(volatile __u64 *)slot ? 0 : ~0ULL;
	return 0;
}

/* One record for each run; what finds no room is counted. */
SEC("tc")
int tc_emit(struct __sk_buff *skb)
{
	struct sample_record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	__u32 index = 11;
	__u64 *number = bpf_map_lookup_elem(&counters, &index);

	if (!record) {
		count(4);
		return 0;
	}
	record->cookie = 0x1122334455667788ULL;
	record->number = number ? (__u32)__sync_fetch_and_add(number, 1) : 0;
	record->pad = 0;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("xdp")
int xdp_count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	count(2);
	return data + 14 > end ? XDP_DROP : XDP_PASS;
}

/* Puts 8 bytes in front, and tells the device it was handed. */
SEC("xdp")
int xdp_grow(struct xdp_md *ctx)
{
	__u32 index = 5;
	__u64 *slot = bpf_map_lookup_elem(&counters, &index);

	if (slot)
		*slot = ctx->ingress_ifindex;
	if (bpf_xdp_adjust_head(ctx, -8))
		return XDP_ABORTED;
	return XDP_TX;
}

SEC("cgroup/connect4")
int deny_connect4(struct bpf_sock_addr *ctx)
{
	count(6);
	return 0;
}

SEC("cgroup/connect4")
int allow_connect4(struct bpf_sock_addr *ctx)
{
	count(7);
	return 1;
}

char _license[] SEC("license") = "GPL";
