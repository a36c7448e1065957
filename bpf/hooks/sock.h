/* SPDX-License-Identifier: GPL-2.0 */
/* Socket hooks: a local process that connects to a frontend talks to the backend from the start,
 * no packet is rewritten. These programs may be preempted: no per-CPU scratch here.
 */
#pragma once
#include "../sock/xlate.h"

#define ECONNREFUSED_ 111

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
