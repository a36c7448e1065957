/* SPDX-License-Identifier: GPL-2.0 */
/* SCTP's CRC32c (RFC 9260, appendix A) after a change of its ports, without reading the payload.
 *
 * A CRC is linear: crc(m ^ d) = crc(m) ^ L(d), where L is the CRC without initial and final
 * inversion, and a difference in the first four bytes of a message of n bytes is a polynomial of
 * degree < 32 times x^(8n). So L(d) = d * x^(8n) mod P, and x^(8n) is a product of the precomputed
 * x^(8 * 2^k) for the bits set in n: O(log n) multiplications in GF(2)[x]/P.
 */
#pragma once
#include "../compat.h"

#define CRC32C_POLY 0x82f63b78u /* reflected: bit 31 is x^0 */

/* x^(8 * 2^k) mod P, reflected. */
static const __u32 crc32c_shift[16] = {
    0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7,
    0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc,
};

static __noinline __u32 crc32c_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int i = 0; i < 32; i++) {
		product ^= b & -(a >> 31);
		a <<= 1;
		b = (b >> 1) ^ (CRC32C_POLY & -(b & 1));
	}
	return product;
}

/* What to XOR into the checksum field (as loaded, little-endian) of a packet of len bytes whose
 * first four bytes, as loaded, change by the XOR difference diff.
 */
static __always_inline __u32 crc32c_change(__u32 diff, __u32 len)
{
#pragma unroll
	for (int k = 0; k < 16; k++)
		if (len >> k & 1)
			diff = crc32c_multiply(diff, crc32c_shift[k]);
	return diff;
}
