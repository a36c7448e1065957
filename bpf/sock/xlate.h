/* SPDX-License-Identifier: GPL-2.0 */
/* Frontend -> backend where a socket sends, backend -> frontend where it receives. */
#pragma once
#include "memory.h"

#define SOCK_ALLOW 1
#define SOCK_DENY  0

/* Translates dst in place. Returns SOCK_ALLOW or SOCK_DENY; *changed tells whether dst did. */
static __always_inline int xlate_socket(const struct sock_owner *owner, struct sock_dst *dst,
					__u32 path, int *changed)
{
	struct lb_address *address = bpf_map_lookup_elem(&lb_addresses, &dst->addr);
	struct lb_addr node = {};
	struct choice c = {};
	/* A connected UDP socket would keep a dead backend for ever, since no hook runs when it
	 * sends: by default its packets are translated at egress instead. What goes to this node's
	 * own addresses does not pass there, so such a frontend or backend is taken here. Refusals
	 * come with a datagram.
	 */
	int is_udp_connect = dst->proto == IPPROTO_UDP_ && path == PATH_SOCK_CONNECT;
	int is_left_to_packets = is_udp_connect && !setting(SETTING_SOCK_UDP_CONNECT);
	struct lb_frontend *fe;
	struct stats_service *s;
	enum known_way way = WAY_NONE;
	__u64 cookie;
	int err;

	*changed = 0;
	if (!address) {
		if (dst->proto == IPPROTO_UDP_ && path == PATH_SOCK_SENDMSG)
			note_direct(owner, dst);
		return SOCK_ALLOW;
	}
	/* Loopback frontends exist for this node's own namespace only. */
	if ((address->flags & ADDRESS_F_LOOPBACK) && !is_host_socket(owner))
		return SOCK_ALLOW;
	if (is_handed_over(dst->proto))
		return SOCK_ALLOW;
	fe = lookup_frontend(&dst->addr, dst->port, dst->proto, address->flags);
	if (!fe)
		goto none;
	if ((address->flags & (ADDRESS_F_NODE | ADDRESS_F_LOOPBACK)) && is_host_socket(owner))
		is_left_to_packets = 0;
	/* The packet path drops it. Of a pod's socket only that path knows the client's address. */
	if (is_host_socket(owner) ? !is_client_allowed(fe, &node, 1) :
				    fe->flags & (FRONTEND_F_SOURCE_RANGES | FRONTEND_F_AFFINITY))
		return SOCK_ALLOW;
	cookie = socket_cookie_of(owner);
	if (dst->proto == IPPROTO_UDP_)
		way = lookup_socket(cookie, dst, fe->service_id, &c);
	/* A connected socket has one peer only: its answers are nobody else's. */
	if (way == WAY_PACKETS && path == PATH_SOCK_SENDMSG)
		return SOCK_ALLOW;
	if (way != WAY_BACKEND) {
		if (is_draining())
			return SOCK_ALLOW;
		err = select_backend(fe, 1, &node, bpf_get_prandom_u32(), 0, &c);
		if (err == SELECT_STALE) {
			fe = lookup_frontend(&dst->addr, dst->port, dst->proto, address->flags);
			if (!fe)
				return SOCK_ALLOW;
			err = select_backend(fe, 1, &node, bpf_get_prandom_u32(), 0, &c);
		}
		/* With nobody to move to a datagram goes where the last one went. */
		if (err && path == PATH_SOCK_SENDMSG &&
		    stay_socket(cookie, dst, fe->service_id, &c))
			goto chosen;
		if (err == SELECT_REFUSE && !is_udp_connect)
			goto refused;
		/* Local policy means silence, and a connect cannot be silent: the packet path
		 * drops. */
		if (err || (is_left_to_packets && !is_node_address(&c.addr)))
			return SOCK_ALLOW;
		if (dst->proto == IPPROTO_TCP_ && is_bound(owner) &&
		    is_left_by_device(&dst->addr, &c.addr))
			return SOCK_ALLOW;
		if (dst->proto == IPPROTO_UDP_ && path == PATH_SOCK_SENDMSG &&
		    is_answer_taken(cookie, dst, &c)) {
			send_by_packets(cookie, &dst->addr, dst->port, dst->proto, fe->service_id);
			return SOCK_ALLOW;
		}
		remember_socket(cookie, dst, &c, fe->service_id);
		remember_affinity(fe, &node, &c);
		count_new_flow(fe->service_id, c.backend_id);
	} else if (is_left_to_packets && !is_node_address(&c.addr)) {
		return SOCK_ALLOW;
	}
chosen:
	s = c.affinity_hit ? stats_of(fe->service_id) : NULL;
	if (s)
		count(s->affinity_hits, 1);
	count_path(path, 0);
	dst->addr = c.addr;
	dst->port = c.port;
	*changed = 1;
	return SOCK_ALLOW;
none:
	if (is_udp_connect || !(address->flags & ADDRESS_F_CLUSTER_IP) ||
	    (address->flags & ADDRESS_F_NODE) || is_draining())
		return SOCK_ALLOW;
refused:
	count_path(PATH_SOCK_REFUSED, 0);
	return SOCK_DENY;
}

/* The source of a received datagram, or the peer of a connected socket: backend -> frontend. */
static __always_inline void restore_socket(const struct sock_owner *owner, struct sock_dst *dst,
					   int *changed)
{
	struct sock_reverse_key key;
	struct sock_reverse *known;

	*changed = 0;
	if (!is_our_socket(owner))
		return;
	sock_key(&key, socket_cookie_of(owner), &dst->addr, dst->port, dst->proto, SOCK_REVERSE);
	known = bpf_map_lookup_elem(&sock_reverse, &key);
	if (!known)
		return;
	dst->addr = known->addr;
	dst->port = known->port;
	*changed = 1;
}
