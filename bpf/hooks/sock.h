/* SPDX-License-Identifier: GPL-2.0 */
/* Socket hooks: a local process that connects to a frontend talks to the backend from the start,
 * no packet is rewritten. Addresses are v4-mapped on the stack; a v4-mapped destination of an IPv6
 * socket is IPv4. These programs may be preempted: no per-CPU scratch here.
 */
#pragma once
#include "../lb/select.h"

#define SOCK_ALLOW    1
#define SOCK_DENY     0
#define ECONNREFUSED_ 111

struct sock_dst {
	struct lb_addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

/* Whose socket it is. Helpers tell, when they are asked; a twin (no ctx) brings its answers along.
 */
struct sock_owner {
	struct bpf_sock_addr *ctx;
	__u64 netns_cookie;
	__u64 socket_cookie;
};

static __always_inline __u64 socket_cookie_of(const struct sock_owner *owner)
{
	return owner->ctx ? bpf_get_socket_cookie(owner->ctx) : owner->socket_cookie;
}

static __always_inline int is_host_socket(const struct sock_owner *owner)
{
	__u64 netns = owner->ctx ? bpf_get_netns_cookie(owner->ctx) : owner->netns_cookie;

	return netns == settings.host_netns_cookie;
}

static __always_inline int is_our_socket(const struct sock_owner *owner)
{
	return setting(SETTING_SOCK_ALL) || is_host_socket(owner);
}

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

/* A TCP socket that was bound to a port before it connects. Two of them may go to one backend, by
 * different frontends: the kernel would refuse the second, packets get another port.
 */
static __always_inline int is_bound(const struct sock_owner *owner)
{
	struct bpf_sock *sk = owner->ctx ? owner->ctx->sk : NULL;

	return sk && sk->src_port;
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

static __always_inline void read4(struct bpf_sock_addr *ctx, struct sock_dst *dst)
{
	__builtin_memset(dst, 0, sizeof(*dst));
	addr_from_v4(&dst->addr, ctx->user_ip4);
	dst->port = ctx->user_port;
	dst->proto = ctx->protocol;
}

static __always_inline void write4(struct bpf_sock_addr *ctx, const struct sock_dst *dst)
{
	ctx->user_ip4 = dst->addr.w[3];
	ctx->user_port = dst->port;
}

static __always_inline void read6(struct bpf_sock_addr *ctx, struct sock_dst *dst)
{
	__builtin_memset(dst, 0, sizeof(*dst));
	dst->addr.w[0] = ctx->user_ip6[0];
	dst->addr.w[1] = ctx->user_ip6[1];
	dst->addr.w[2] = ctx->user_ip6[2];
	dst->addr.w[3] = ctx->user_ip6[3];
	dst->port = ctx->user_port;
	dst->proto = ctx->protocol;
}

static __always_inline void write6(struct bpf_sock_addr *ctx, const struct sock_dst *dst)
{
	ctx->user_ip6[0] = dst->addr.w[0];
	ctx->user_ip6[1] = dst->addr.w[1];
	ctx->user_ip6[2] = dst->addr.w[2];
	ctx->user_ip6[3] = dst->addr.w[3];
	ctx->user_port = dst->port;
}

/* Of the connection-oriented protocols only TCP has these hooks. */
static __always_inline int is_connect_ours(const struct sock_owner *owner, __u8 proto)
{
	return (proto == IPPROTO_TCP_ || proto == IPPROTO_UDP_) && is_our_socket(owner);
}

static __always_inline int finish_socket(int ret)
{
	if (ret == SOCK_DENY)
		bpf_set_retval(-ECONNREFUSED_);
	return ret;
}

SEC("cgroup/connect4")
int sk_connect4(struct bpf_sock_addr *ctx)
{
	struct sock_owner owner = {.ctx = ctx};
	struct sock_dst dst;
	int changed, ret;

	if (!is_connect_ours(&owner, ctx->protocol))
		return SOCK_ALLOW;
	read4(ctx, &dst);
	ret = xlate_socket(&owner, &dst, PATH_SOCK_CONNECT, &changed);
	if (changed)
		write4(ctx, &dst);
	return finish_socket(ret);
}

SEC("cgroup/connect6")
int sk_connect6(struct bpf_sock_addr *ctx)
{
	struct sock_owner owner = {.ctx = ctx};
	struct sock_dst dst;
	int changed, ret;

	if (!is_connect_ours(&owner, ctx->protocol))
		return SOCK_ALLOW;
	read6(ctx, &dst);
	ret = xlate_socket(&owner, &dst, PATH_SOCK_CONNECT, &changed);
	if (changed)
		write6(ctx, &dst);
	return finish_socket(ret);
}

SEC("cgroup/sendmsg4")
int sk_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct sock_owner owner = {.ctx = ctx};
	struct sock_dst dst;
	int changed, ret;

	if (!is_our_socket(&owner))
		return SOCK_ALLOW;
	read4(ctx, &dst);
	ret = xlate_socket(&owner, &dst, PATH_SOCK_SENDMSG, &changed);
	if (changed)
		write4(ctx, &dst);
	return finish_socket(ret);
}

SEC("cgroup/sendmsg6")
int sk_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct sock_owner owner = {.ctx = ctx};
	struct sock_dst dst;
	int changed, ret;

	if (!is_our_socket(&owner))
		return SOCK_ALLOW;
	read6(ctx, &dst);
	ret = xlate_socket(&owner, &dst, PATH_SOCK_SENDMSG, &changed);
	if (changed)
		write6(ctx, &dst);
	return finish_socket(ret);
}

static __always_inline int restore4(struct bpf_sock_addr *ctx)
{
	struct sock_owner owner = {.ctx = ctx};
	struct sock_dst dst;
	int changed;

	read4(ctx, &dst);
	restore_socket(&owner, &dst, &changed);
	if (changed)
		write4(ctx, &dst);
	return SOCK_ALLOW;
}

static __always_inline int restore6(struct bpf_sock_addr *ctx)
{
	struct sock_owner owner = {.ctx = ctx};
	struct sock_dst dst;
	int changed;

	read6(ctx, &dst);
	restore_socket(&owner, &dst, &changed);
	if (changed)
		write6(ctx, &dst);
	return SOCK_ALLOW;
}

SEC("cgroup/recvmsg4")
int sk_recvmsg4(struct bpf_sock_addr *ctx)
{
	return restore4(ctx);
}

SEC("cgroup/recvmsg6")
int sk_recvmsg6(struct bpf_sock_addr *ctx)
{
	return restore6(ctx);
}

SEC("cgroup/getpeername4")
int sk_peername4(struct bpf_sock_addr *ctx)
{
	return restore4(ctx);
}

SEC("cgroup/getpeername6")
int sk_peername6(struct bpf_sock_addr *ctx)
{
	return restore6(ctx);
}
