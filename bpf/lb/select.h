/* SPDX-License-Identifier: GPL-2.0 */
/* Frontend lookup, backend choice and affinity: one definition for tc, XDP and the socket hooks. */
#pragma once
#include "../maps/maps.h"
#include "../maps/settings.h"
#include "../parse/addr.h"
#include "../observe/counters.h"

enum select_result {
	SELECT_OK = 0,
	SELECT_REFUSE = 1, /* nobody anywhere */
	SELECT_DROP = 2,   /* nobody here, by Local policy */
	SELECT_STALE = 3,  /* the lists moved under us: look the frontend up again */
};

struct choice {
	__u32 backend_id;
	__u32 backend_generation;
	struct lb_addr addr;
	__be16 port;
	__u16 affinity_hit;
};

static __always_inline __u64 drain_state(void)
{
	__u32 zero = 0;
	struct lb_config *config = bpf_map_lookup_elem(&lb_config, &zero);

	return config ? *(volatile __u64 *)&config->drain : DRAIN_NO;
}

/* Another load balancer serves what is new. */
static __always_inline int is_draining(void)
{
	return drain_state() != DRAIN_NO;
}

/* A client's datagram is left to the other load balancer, although its flow is ours: the programs
 * are about to be detached, and answers under way could not be restored any more.
 */
static __always_inline int is_handed_over(__u8 proto)
{
	return proto == IPPROTO_UDP_ && drain_state() == DRAIN_HAND_OVER;
}

/* The frontend of addr:port, given what lb_addresses says about addr. */
static __always_inline struct lb_frontend *lookup_frontend(const struct lb_addr *addr, __be16 port,
							   __u8 proto, __u32 address_flags)
{
	struct lb_frontend_key key = {.port = port, .proto = proto, .kind = FRONTEND_KIND_EXACT};
	struct lb_frontend *fe;

	key.addr = *addr;
	fe = bpf_map_lookup_elem(&lb_frontends, &key);
	if (fe || !(address_flags & ADDRESS_F_NODE_PORTS))
		return fe;
	__builtin_memset(&key.addr, 0, sizeof(key.addr));
	key.kind = addr_is_v4(addr) ? FRONTEND_KIND_NODEPORT4 : FRONTEND_KIND_NODEPORT6;
	return bpf_map_lookup_elem(&lb_frontends, &key);
}

static __always_inline int is_node_address(const struct lb_addr *addr)
{
	struct lb_address *address = bpf_map_lookup_elem(&lb_addresses, addr);

	return address && (address->flags & ADDRESS_F_NODE);
}

static __always_inline int in_range_set(__u32 set, const struct lb_addr *addr)
{
	struct lb_src_range_key key = {.prefixlen = 32 + 128, .range_set_id = set};

	key.addr = *addr;
	return !!bpf_map_lookup_elem(&lb_src_ranges, &key);
}

/* May this client use the frontend at all? Fails closed: a missing set denies. */
static __always_inline int is_client_allowed(const struct lb_frontend *fe,
					     const struct lb_addr *client, int is_node)
{
	if (!(fe->flags & FRONTEND_F_SOURCE_RANGES))
		return 1;
	if (is_node)
		return !!(fe->flags & FRONTEND_F_NODE_ALLOWED);
	return in_range_set(fe->range_set_id, client);
}

static __always_inline struct lb_backend *lookup_backend(__u32 id)
{
	return id ? bpf_map_lookup_elem(&lb_backends, &id) : NULL;
}

/* Is the backend that a flow or an affinity remembers still the same one, and in what state?
 * Returns its state word, or 0.
 */
static __always_inline __u32 backend_state(__u32 id, __u32 generation, struct lb_backend **backend)
{
	struct lb_backend *b = lookup_backend(id);

	if (!b || b->generation != generation)
		return 0;
	*backend = b;
	return *(volatile __u32 *)&b->state;
}

static __always_inline int choose(struct choice *c, __u32 id, const struct lb_backend *b)
{
	c->backend_id = id;
	c->backend_generation = b->generation;
	c->addr = b->addr;
	c->port = b->port;
	return SELECT_OK;
}

/* Chooses a backend of one scope for a new flow; remember_affinity() follows when it was made.
 * client: all zero for this node itself. hash: same for every hook that sees the same packet.
 * attempt: how many choices were no use already; each leads to the next slot.
 */
static __always_inline int select_backend(const struct lb_frontend *fe, int is_internal,
					  const struct lb_addr *client, __u32 hash, __u32 attempt,
					  struct choice *c)
{
	__u64 run = *(volatile __u64 *)(is_internal ? &fe->internal : &fe->external);
	__u32 flags = fe->flags, mask = is_internal ? fe->internal_mask : fe->external_mask;
	int is_maglev =
	    flags & (is_internal ? FRONTEND_F_INTERNAL_MAGLEV : FRONTEND_F_EXTERNAL_MAGLEV);
	struct lb_affinity_key akey = {};
	struct lb_affinity *aff = NULL;
	struct lb_backend *b;
	__u32 slot, backend_id, *id;

	c->affinity_hit = 0;
	if (!LB_RUN_COUNT(run)) {
		if (flags & (is_internal ? FRONTEND_F_INTERNAL_DROP : FRONTEND_F_EXTERNAL_DROP))
			return SELECT_DROP;
		return SELECT_REFUSE;
	}
	if ((flags & FRONTEND_F_AFFINITY) && !attempt) {
		__u64 now = bpf_ktime_get_coarse_ns();

		akey.client = *client;
		akey.service_id = fe->service_id;
		aff = bpf_map_lookup_elem(&lb_affinity, &akey);
		if (aff &&
		    (__s64)(now - aff->last_used_ns) <
			(__s64)(fe->affinity_timeout_s * NSEC_PER_SEC) &&
		    (backend_state(aff->backend_id, aff->backend_generation, &b) & mask)) {
			if (!setting(SETTING_READ_ONLY))
				aff->last_used_ns = now;
			c->affinity_hit = 1;
			return choose(c, aff->backend_id, b);
		}
	}
	if (setting(SETTING_FIXED_CHOICE) && !is_maglev)
		hash = 0;
	slot = LB_RUN_BASE(run) + (hash + attempt) % LB_RUN_COUNT(run);
	id = bpf_map_lookup_elem(&lb_slots, &slot);
	if (!id)
		return SELECT_STALE;
	backend_id = *(volatile __u32 *)id;
	b = lookup_backend(backend_id);
	if (!b || b->service_id != fe->service_id ||
	    !(*(volatile __u32 *)&b->state & BACKEND_F_ALIVE))
		return SELECT_STALE;
	return choose(c, backend_id, b);
}

/* Once the choice has become a flow: the client's next connections go the same way. */
static __always_inline void remember_affinity(const struct lb_frontend *fe,
					      const struct lb_addr *client, const struct choice *c)
{
	struct lb_affinity_key key = {.client = *client, .service_id = fe->service_id};
	struct lb_affinity value = {
	    .last_used_ns = bpf_ktime_get_coarse_ns(),
	    .backend_id = c->backend_id,
	    .backend_generation = c->backend_generation,
	};

	if (!(fe->flags & FRONTEND_F_AFFINITY) || c->affinity_hit || setting(SETTING_READ_ONLY))
		return;
	bpf_map_update_elem(&lb_affinity, &key, &value, BPF_ANY);
}
