// SPDX-License-Identifier: GPL-2.0
#include "maps/maps.h"
#include "abi/anchors.h"

const volatile struct abi_anchors abi_anchors = {};

SEC("tcx/ingress")
int tc_uplink_in(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct lb_config *config = bpf_map_lookup_elem(&lb_config, &zero);

	return config ? -1 : -1;
}

char _license[] SEC("license") = "GPL";
