/* SPDX-License-Identifier: GPL-2.0 */
/* Ports of fragments after the first, found by addresses, protocol and id for one second. */
#pragma once
#include "../maps/scratch.h"

#define FRAG_TIMEOUT_NS NSEC_PER_SEC

static __always_inline void frag_key_of(struct frag_key *key, const struct pkt *p)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->src = p->tuple.src;
	key->dst = p->tuple.dst;
	key->id = p->frag_id;
	key->proto = p->tuple.proto;
}

static __always_inline void remember_fragment(const struct pkt *p)
{
	struct frag_key key;
	struct frag_ports ports = {
	    .created_ns = bpf_ktime_get_coarse_ns(),
	    .sport = p->tuple.sport,
	    .dport = p->tuple.dport,
	};

	if (setting(SETTING_READ_ONLY))
		return;
	frag_key_of(&key, p);
	bpf_map_update_elem(&frags, &key, &ports, BPF_ANY);
}

/* Fills the ports of a later fragment. Returns 0, or -1 when its first was not seen. */
static __always_inline int lookup_fragment(struct pkt *p)
{
	struct frag_key key;
	struct frag_ports *ports;

	frag_key_of(&key, p);
	ports = bpf_map_lookup_elem(&frags, &key);
	if (!ports || bpf_ktime_get_coarse_ns() - ports->created_ns > FRAG_TIMEOUT_NS)
		return -1;
	p->tuple.sport = ports->sport;
	p->tuple.dport = ports->dport;
	return 0;
}
