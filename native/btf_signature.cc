#include "btf_signature.h"

namespace {

constexpr int kMaxDepth = 32;

std::string Name(const btf* btf, const btf_type* type) {
  const char* name = btf__name_by_offset(btf, type->name_off);
  return name == nullptr ? "" : name;
}

std::string Describe(const btf* btf, __u32 id, int depth);

std::string DescribeMembers(const btf* btf, const btf_type* type, int depth) {
  std::string out = "{";
  const btf_member* members = btf_members(type);
  for (__u16 i = 0; i < btf_vlen(type); i++) {
    const char* name = btf__name_by_offset(btf, members[i].name_off);
    out += i == 0 ? "" : " ";
    out += std::string(name) + "@" + std::to_string(btf_member_bit_offset(type, i) / 8);
    if (__u32 bits = btf_member_bitfield_size(type, i)) {
      out += "." + std::to_string(btf_member_bit_offset(type, i) % 8) + ":" + std::to_string(bits);
    }
    out += ":" + Describe(btf, members[i].type, depth + 1);
  }
  return out + "}";
}

std::string Describe(const btf* btf, __u32 id, int depth) {
  if (id == 0) return "void";
  const btf_type* type = btf__type_by_id(btf, id);
  if (type == nullptr || depth > kMaxDepth) return "?";
  switch (btf_kind(type)) {
    case BTF_KIND_CONST:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
      return Describe(btf, type->type, depth + 1);
    case BTF_KIND_TYPEDEF:
      return Name(btf, type) + "=" + Describe(btf, type->type, depth + 1);
    case BTF_KIND_INT:
      return std::string(btf_int_encoding(type) & BTF_INT_SIGNED ? "i" : "u") +
             std::to_string(type->size * 8);
    case BTF_KIND_FLOAT:
      return "f" + std::to_string(type->size * 8);
    case BTF_KIND_PTR:
      return "ptr";
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
      return "enum " + Name(btf, type) + ":" + std::to_string(type->size * 8);
    case BTF_KIND_ARRAY: {
      const struct btf_array* array = btf_array(type);
      return Describe(btf, array->type, depth + 1) + "[" + std::to_string(array->nelems) + "]";
    }
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
      return std::string(btf_is_struct(type) ? "struct " : "union ") + Name(btf, type) + ":" +
             std::to_string(type->size) + DescribeMembers(btf, type, depth);
    default:
      return "kind" + std::to_string(btf_kind(type)) + " " + Name(btf, type);
  }
}

}  // namespace

std::string BtfSignature(const btf* btf, __u32 type_id) {
  if (btf == nullptr || type_id == 0) return {};
  return Describe(btf, type_id, 0);
}
