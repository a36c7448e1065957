// SPDX-License-Identifier: GPL-2.0
// A program that the verifier must refuse: it uses a looked-up pointer without asking whether it is NULL.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} some SEC(".maps");

SEC("tc")
int reads_null(struct __sk_buff *skb)
{
	__u32 key = skb->mark;
	__u64 *value = bpf_map_lookup_elem(&some, &key);

	return (int)*value;
}

SEC("tc")
int is_fine(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
