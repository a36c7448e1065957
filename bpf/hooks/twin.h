/* SPDX-License-Identifier: GPL-2.0 */
/* A twin of the socket hooks for tests: the kernel cannot test-run a sock_addr program, so a tc
 * program takes a request from the packet's data, calls the same functions and writes the answer
 * back. The "?" keeps it from being loaded unless somebody asks for it by name: no agent does.
 */
#pragma once
#include "sock.h"

#define TWIN_MAGIC 0x4e495754 /* "TWIN" */

enum twin_hook {
	TWIN_CONNECT = 1,
	TWIN_SENDMSG = 2,
	TWIN_RECVMSG = 3, /* getpeername is the same */
};

/* Behind an Ethernet header and two bytes of padding; machine byte order but for addr and port. */
struct twin_request {
	__u32 magic;
	__u8 hook; /* enum twin_hook */
	__u8 proto;
	__be16 port;
	struct lb_addr addr;
	__u64 netns_cookie;
	__u64 socket_cookie;
	__u32 ret; /* answer: SOCK_ALLOW or SOCK_DENY (with ECONNREFUSED) */
	__u32 changed;
};

#define TWIN_OFF (ETH_HLEN + 2)

SEC("?tc")
int sk_twin(struct __sk_buff *skb)
{
	struct sock_owner owner = {};
	struct twin_request r;
	struct sock_dst dst = {};
	int changed = 0, ret = SOCK_ALLOW;

	if (bpf_skb_load_bytes(skb, TWIN_OFF, &r, sizeof(r)) || r.magic != TWIN_MAGIC)
		return TC_SHOT;
	owner.netns_cookie = r.netns_cookie;
	owner.socket_cookie = r.socket_cookie;
	dst.addr = r.addr;
	dst.port = r.port;
	dst.proto = r.proto;
	if (r.hook == TWIN_RECVMSG)
		restore_socket(&owner, &dst, &changed);
	else if (r.hook == TWIN_CONNECT && is_connect_ours(&owner, r.proto))
		ret = xlate_socket(&owner, &dst, PATH_SOCK_CONNECT, &changed);
	else if (r.hook == TWIN_SENDMSG && is_our_socket(&owner))
		ret = xlate_socket(&owner, &dst, PATH_SOCK_SENDMSG, &changed);
	r.ret = ret;
	r.changed = changed;
	if (changed) {
		r.addr = dst.addr;
		r.port = dst.port;
	}
	return bpf_skb_store_bytes(skb, TWIN_OFF, &r, sizeof(r), 0) ? TC_SHOT : TC_NEXT;
}
