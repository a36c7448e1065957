/* SPDX-License-Identifier: GPL-2.0 */
/* Kernel constants that the oldest supported build headers lack, and what every room needs. */
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* TCX_NEXT of the tcx hook; TC_ACT_UNSPEC of clsact. Never TC_ACT_OK: it ends the chain and skips
 * the CNI's programs.
 */
#define TC_NEXT -1
#define TC_SHOT 2

#define ETH_HLEN        14
#define ETH_P_IPV4      0x0800
#define ETH_P_IPV6_     0x86dd
#define AF_INET_        2
#define AF_INET6_       10
#define IPPROTO_ICMP_   1
#define IPPROTO_TCP_    6
#define IPPROTO_UDP_    17
#define IPPROTO_ICMPV6_ 58
#define IPPROTO_SCTP_   132

#define NSEC_PER_SEC 1000000000ull
