#pragma once
#include <bpf/btf.h>

#include <string>

// One C type of a BTF blob as canonical text: names, offsets, sizes and the typedefs on the way (a
// __be16 is not a __u16), so that two objects' idea of a struct can be compared without type ids.
// Empty when the id is 0 or unknown. Qualifiers and what a pointer points to are left out.
std::string BtfSignature(const btf* btf, __u32 type_id);
