/* SPDX-License-Identifier: GPL-2.0 */
/* The working set of one packet. Too large for a 512-byte stack; per CPU is safe because tc and
 * XDP programs run with bottom halves off and never nest. The socket hooks can be preempted and
 * must not use it.
 */
#pragma once
#include "maps.h"
#include "../parse/pkt.h"
#include "../lb/select.h"

#define QUOTE_MAX 128

struct work {
	struct pkt pkt;
	struct choice choice;
	struct ct_tuple reply;
	struct ct_tuple saved;
	struct ct_flow flow;
	struct ct_flow other;
	struct bpf_fib_lookup fib;
	__u8 quote[QUOTE_MAX];
	__u8 out[64];
	__u64 refusal_window_ns;
	__u32 refusals;
	/* Of the packet at hand, for functions that would need too many arguments. */
	__u32 address_flags; /* lb_addresses of its destination */
	__u32 origin;        /* enum origin */
	__u32 service_id;
	__u32 reason; /* enum drop_reason */
	__u32 ifindex;
	__u32 attempt;       /* how often another backend was chosen for this packet */
	__u32 is_port_taken; /* the client's own port is another connection's at the backend */
	__u32 needs_middle;  /* a second pair does SNAT at egress, from snat_source */
	struct lb_addr snat_source;
	struct lb_addr no_client; /* stays zero: the node itself, as a client */
	/* Of ct/reclaim.h, which runs while the rest is in use. */
	struct ct_tuple closed;
	struct ct_tuple closed_peer;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} scratch SEC(".maps");

/* Original keys of established flows in the order in which they ended; the oldest give way. Like
 * the working set it belongs to one load: an agent that starts sweeps what the last one left.
 */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_FLOWS / 2);
	__type(value, struct ct_tuple);
} ct_closed SEC(".maps");

/* A global function gets it here and not as an argument: to Linux 6.1 an argument is memory of
 * unknown origin, which may be neither key nor value of a map.
 */
static __always_inline struct work *get_work(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

static __always_inline __u64 fib_generation(void)
{
	__u32 zero = 0;
	struct lb_config *config = bpf_map_lookup_elem(&lb_config, &zero);

	return config ? *(volatile __u64 *)&config->fib_generation : 0;
}

static __always_inline int is_takeover(void)
{
	__u32 zero = 0;
	struct lb_config *config = bpf_map_lookup_elem(&lb_config, &zero);

	return config && bpf_ktime_get_ns() < *(volatile __u64 *)&config->takeover_until_ns;
}
