/* SPDX-License-Identifier: GPL-2.0 */
/* What is remembered of a socket (sock_reverse): which backend a frontend became, for the answers
 * and for the next datagram.
 */
#pragma once
#include "owner.h"
#include "../lb/select.h"

static __always_inline void sock_key(struct sock_reverse_key *key, __u64 cookie,
				     const struct lb_addr *addr, __be16 port, __u8 proto, __u8 kind)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->cookie = cookie;
	key->addr = *addr;
	key->port = port;
	key->proto = proto;
	key->kind = kind;
}

static __always_inline void remember_socket(__u64 cookie, const struct sock_dst *dst,
					    const struct choice *c, __u32 service_id)
{
	struct sock_reverse_key key;
	struct sock_reverse value = {
	    .addr = dst->addr,
	    .port = dst->port,
	    .service_id = service_id,
	    .backend_id = c->backend_id,
	    .backend_generation = c->backend_generation,
	};

	if (setting(SETTING_READ_ONLY))
		return;
	sock_key(&key, cookie, &c->addr, c->port, dst->proto, SOCK_REVERSE);
	bpf_map_update_elem(&sock_reverse, &key, &value, BPF_ANY);
	if (dst->proto != IPPROTO_UDP_)
		return;
	sock_key(&key, cookie, &dst->addr, dst->port, dst->proto, SOCK_FORWARD);
	value.addr = c->addr;
	value.port = c->port;
	bpf_map_update_elem(&sock_reverse, &key, &value, BPF_ANY);
}

enum known_way {
	WAY_NONE = 0,
	WAY_BACKEND = 1, /* in the choice */
	WAY_PACKETS = 2, /* datagrams are translated one by one, where they leave */
};

/* From now on this socket's datagrams to the frontend are translated where they leave: the packet
 * path gives them another source port, and can tell their answers from those of another frontend
 * with the same backend, or of the backend itself.
 */
static __always_inline void send_by_packets(__u64 cookie, const struct lb_addr *addr, __be16 port,
					    __u8 proto, __u32 service_id)
{
	struct sock_reverse_key key;
	struct sock_reverse value = {.service_id = service_id};

	if (setting(SETTING_READ_ONLY))
		return;
	sock_key(&key, cookie, addr, port, proto, SOCK_FORWARD);
	bpf_map_update_elem(&sock_reverse, &key, &value, BPF_ANY);
}

/* The packet path does not see what stays on this node. */
static __always_inline int is_left_by_device(const struct lb_addr *frontend,
					     const struct lb_addr *backend)
{
	return !is_node_address(frontend) && !is_node_address(backend);
}

/* An unconnected UDP socket sends straight to dst: is that a backend whose answers it would take
 * for a frontend's?
 */
static __always_inline void note_direct(const struct sock_owner *owner, const struct sock_dst *dst)
{
	struct sock_reverse_key key;
	struct sock_reverse *known;
	__u64 cookie;

	if (setting(SETTING_READ_ONLY))
		return;
	cookie = socket_cookie_of(owner);
	sock_key(&key, cookie, &dst->addr, dst->port, dst->proto, SOCK_REVERSE);
	known = bpf_map_lookup_elem(&sock_reverse, &key);
	if (!known || !is_left_by_device(&known->addr, &dst->addr))
		return;
	send_by_packets(cookie, &known->addr, known->port, dst->proto, known->service_id);
	bpf_map_delete_elem(&sock_reverse, &key);
}

/* Does another frontend have the answers of this backend to this socket? */
static __always_inline int is_answer_taken(__u64 cookie, const struct sock_dst *dst,
					   const struct choice *c)
{
	struct sock_reverse_key key;
	struct sock_reverse *known;

	sock_key(&key, cookie, &c->addr, c->port, dst->proto, SOCK_REVERSE);
	known = bpf_map_lookup_elem(&sock_reverse, &key);
	return known && (known->port != dst->port || !addr_equal(&known->addr, &dst->addr)) &&
	       is_left_by_device(&dst->addr, &c->addr);
}

/* The way that an unconnected UDP socket used last for this frontend, while it still serves. */
static __always_inline enum known_way lookup_socket(__u64 cookie, const struct sock_dst *dst,
						    __u32 service_id, struct choice *c)
{
	struct sock_reverse_key key;
	struct sock_reverse *known;
	struct lb_backend *b;

	sock_key(&key, cookie, &dst->addr, dst->port, dst->proto, SOCK_FORWARD);
	known = bpf_map_lookup_elem(&sock_reverse, &key);
	if (!known || known->service_id != service_id)
		return WAY_NONE;
	if (!known->backend_id)
		return WAY_PACKETS;
	if (!(backend_state(known->backend_id, known->backend_generation, &b) & BACKEND_F_SERVING))
		return WAY_NONE;
	choose(c, known->backend_id, b);
	c->affinity_hit = 0;
	sock_key(&key, cookie, &c->addr, c->port, dst->proto, SOCK_REVERSE);
	/* An LRU may have dropped the other half: without it answers would show the backend. */
	if (!bpf_map_lookup_elem(&sock_reverse, &key))
		remember_socket(cookie, dst, c, service_id);
	return WAY_BACKEND;
}

/* The address that an unconnected UDP socket used last for this frontend, whatever became of it. */
static __always_inline int stay_socket(__u64 cookie, const struct sock_dst *dst, __u32 service_id,
				       struct choice *c)
{
	struct sock_reverse_key key;
	struct sock_reverse *known;

	sock_key(&key, cookie, &dst->addr, dst->port, dst->proto, SOCK_FORWARD);
	known = bpf_map_lookup_elem(&sock_reverse, &key);
	if (!known || known->service_id != service_id || !known->backend_id)
		return 0;
	c->addr = known->addr;
	c->port = known->port;
	c->affinity_hit = 0;
	return 1;
}
