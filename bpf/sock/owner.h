/* SPDX-License-Identifier: GPL-2.0 */
/* A local socket: where it wants to go, and whose it is. Addresses are v4-mapped on the stack; a
 * v4-mapped destination of an IPv6 socket is IPv4.
 */
#pragma once
#include "../abi/addr.h"
#include "../maps/settings.h"

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

/* A TCP socket that was bound to a port before it connects. Two of them may go to one backend, by
 * different frontends: the kernel would refuse the second, packets get another port.
 */
static __always_inline int is_bound(const struct sock_owner *owner)
{
	struct bpf_sock *sk = owner->ctx ? owner->ctx->sk : NULL;

	return sk && sk->src_port;
}
