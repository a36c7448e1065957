/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "../compat.h"
#include "../abi/flow.h"

static __always_inline __u32 rol32(__u32 v, int s)
{
	return v << s | v >> (32 - s);
}

/* Mixing and finalisation of MurmurHash3 (32 bit, public domain), word by word. */
static __always_inline __u32 hash_word(__u32 h, __u32 k)
{
	k *= 0xcc9e2d51;
	k = rol32(k, 15);
	k *= 0x1b873593;
	h ^= k;
	h = rol32(h, 13);
	return h * 5 + 0xe6546b64;
}

static __always_inline __u32 hash_finish(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	h ^= h >> 16;
	return h;
}

/* The same on every node and in every hook: XDP and tc must agree about one packet. */
static __always_inline __u32 hash_tuple(const struct ct_tuple *t, __u32 seed)
{
	__u32 h = seed;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		h = hash_word(h, t->src.w[i]);
		h = hash_word(h, t->dst.w[i]);
	}
	h = hash_word(h, (__u32)t->sport << 16 | t->dport);
	h = hash_word(h, t->proto);
	return hash_finish(h);
}
