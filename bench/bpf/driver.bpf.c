// SPDX-License-Identifier: GPL-2.0
/* Runs a program under test again and again on the same packet. BPF_PROG_TEST_RUN with `repeat`
 * hands the packet on as the last run left it, so a translated packet would be somebody else's from
 * the second run on. A driver puts the packet back, then tail-calls the program under test; the
 * same driver with a `bounce` behind it is the baseline that is subtracted.
 */
#include "compat.h"

#define FRAME_MAX 256
#define FIELDS    3
#define TC_ABORT  99 /* no verdict that a program under test could give */

/* A 16-bit field of the frame that changes from run to run: base + next / divisor % count. */
struct bench_field {
	__u32 offset;
	__u32 base;
	__u32 count; /* 0: not used */
	__u32 divisor;
};

struct bench_template {
	__u32 len;
	__u32 slot;  /* which program of the array */
	__u32 grown; /* bytes that the program under test puts before the IP header */
	__u32 next;  /* runs so far */
	struct bench_field fields[FIELDS];
	__u8 frame[FRAME_MAX];
};

/* Writer: user space before a run; next and the varying bytes of frame: the drivers. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_template);
} bench_template SEC(".maps");

/* One array for each program type: the kernel refuses to mix them. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} bench_tc SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} bench_xdp SEC(".maps");

/* Writes the varying fields into the frame. Returns its length, or 0. */
static __always_inline __u32 prepare(struct bench_template *t)
{
	__u32 n = t->next++, len = t->len;

#pragma unroll
	for (int i = 0; i < FIELDS; i++) {
		struct bench_field *f = &t->fields[i];
		__u32 value, at = f->offset & (FRAME_MAX - 1);

		if (!f->count || at > FRAME_MAX - 2)
			continue;
		value = f->base + n / f->divisor % f->count;
		t->frame[at] = value >> 8;
		t->frame[at + 1] = value;
	}
	/* verifier: the bound must be on the value that the helper gets */
	barrier_var(len);
	return len > FRAME_MAX ? 0 : len;
}

SEC("tc")
int tc_driver(struct __sk_buff *skb)
{
	__u32 zero = 0, len;
	struct bench_template *t = bpf_map_lookup_elem(&bench_template, &zero);

	if (!t)
		return TC_ABORT;
	if (skb->len > t->len && t->grown &&
	    bpf_skb_adjust_room(skb, -(__s32)t->grown, BPF_ADJ_ROOM_MAC, 0))
		return TC_ABORT;
	if (skb->len != t->len && bpf_skb_change_tail(skb, t->len, 0))
		return TC_ABORT;
	len = prepare(t);
	if (!len || bpf_skb_store_bytes(skb, 0, t->frame, len, 0))
		return TC_ABORT;
	bpf_tail_call(skb, &bench_tc, t->slot);
	return TC_ABORT;
}

SEC("xdp")
int xdp_driver(struct xdp_md *xdp)
{
	__u32 zero = 0, len;
	struct bench_template *t = bpf_map_lookup_elem(&bench_template, &zero);

	if (!t)
		return XDP_ABORTED;
	len = prepare(t);
	if (!len || bpf_xdp_store_bytes(xdp, 0, t->frame, len))
		return XDP_ABORTED;
	bpf_tail_call(xdp, &bench_xdp, t->slot);
	return XDP_ABORTED;
}

SEC("tc")
int tc_bounce(struct __sk_buff *skb)
{
	return TC_NEXT;
}

SEC("xdp")
int xdp_bounce(struct xdp_md *xdp)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
