#include "map_spec.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "args.h"
#include "btf_signature.h"
#include "errors.h"

namespace {

// The kernel adds this flag to device maps by itself.
uint32_t ComparableFlags(uint32_t type, uint32_t flags) {
  bool device = type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH;
  return device ? flags & ~static_cast<uint32_t>(BPF_F_RDONLY_PROG) : flags;
}

// libbpf rounds ring buffers up to a power of two of pages when it creates them.
uint32_t CreatedEntries(uint32_t type, uint32_t entries) {
  if (type != BPF_MAP_TYPE_RINGBUF && type != BPF_MAP_TYPE_USER_RINGBUF) return entries;
  auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for (uint64_t size = page; size <= UINT32_MAX; size *= 2) {
    if (size >= entries) return static_cast<uint32_t>(size);
  }
  return entries;
}

void Note(std::string& out, const char* what, const std::string& expected,
          const std::string& actual) {
  if (expected == actual) return;
  if (!out.empty()) out += ", ";
  out += std::string(what) + " is " + actual + ", expected " + expected;
}

void NoteNumber(std::string& out, const char* what, std::optional<uint32_t> expected,
                uint32_t actual) {
  if (expected) Note(out, what, std::to_string(*expected), std::to_string(actual));
}

// Signatures may be long: show where they part.
void NoteBtf(std::string& out, const char* what, const std::string& expected,
             const std::string& actual) {
  if (expected.empty() || actual.empty() || expected == actual) return;
  size_t same =
      std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end()).first -
      expected.begin();
  // From the start of the field in which they differ.
  size_t from = same;
  while (from > 0 && expected[from - 1] != ' ' && expected[from - 1] != '{') from--;
  auto excerpt = [&](const std::string& text) {
    size_t end = text.find_first_of(" {}", std::max(same, from));
    std::string part = text.substr(from, end == std::string::npos ? end : end - from);
    return "\"" + (part.empty() ? "(end)" : part) + "\"";
  };
  Note(out, what, excerpt(expected), excerpt(actual));
}

const char* SectionName(const bpf_map* map) {
  const char* name = bpf_map__name(map);
  if (!bpf_map__is_internal(map)) return name;
  const char* dot = strchr(name, '.');
  return dot == nullptr ? name : dot;
}

}  // namespace

MapSpec SpecOfFd(int fd, bool with_btf) {
  bpf_map_info info = {};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
    throw KernelError{errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)", "inspect", "map"};
  }
  MapSpec spec{info.name,      info.id, info.type, info.key_size, info.value_size, info.max_entries,
               info.map_flags, {},      {}};
  if (with_btf && info.btf_id != 0) {
    std::unique_ptr<btf, decltype(&btf__free)> types(btf__load_from_kernel_by_id(info.btf_id),
                                                     btf__free);
    if (types) {
      spec.key_btf = BtfSignature(types.get(), info.btf_key_type_id);
      spec.value_btf = BtfSignature(types.get(), info.btf_value_type_id);
    }
  }
  return spec;
}

MapSpec SpecOfObjectMap(const bpf_object* object, const bpf_map* map) {
  const btf* types = bpf_object__btf(object);
  return {SectionName(map),
          0,
          bpf_map__type(map),
          bpf_map__key_size(map),
          bpf_map__value_size(map),
          CreatedEntries(bpf_map__type(map), bpf_map__max_entries(map)),
          bpf_map__map_flags(map),
          BtfSignature(types, bpf_map__btf_key_type_id(map)),
          BtfSignature(types, bpf_map__btf_value_type_id(map))};
}

MapExpectation Expect(const MapSpec& spec) {
  return {spec.type,  spec.key_size, spec.value_size, spec.max_entries,
          spec.flags, spec.key_btf,  spec.value_btf};
}

MapExpectation ExpectationArg(const Napi::Value& value) {
  MapExpectation expected;
  if (!value.IsObject()) return expected;
  auto object = value.As<Napi::Object>();
  auto number = [&](const char* key) -> std::optional<uint32_t> {
    Napi::Value v = object.Get(key);
    if (!v.IsNumber()) return std::nullopt;
    return v.As<Napi::Number>().Uint32Value();
  };
  expected.type = number("type");
  expected.key_size = number("keySize");
  expected.value_size = number("valueSize");
  expected.max_entries = number("maxEntries");
  expected.flags = number("flags");
  Napi::Value types = object.Get("btf");
  if (types.IsObject()) {
    Napi::Value key = types.As<Napi::Object>().Get("key");
    Napi::Value element = types.As<Napi::Object>().Get("value");
    if (key.IsString()) expected.key_btf = key.As<Napi::String>().Utf8Value();
    if (element.IsString()) expected.value_btf = element.As<Napi::String>().Utf8Value();
  }
  return expected;
}

std::string Differences(const MapExpectation& expected, const MapSpec& actual) {
  std::string out;
  if (expected.type) {
    auto name = [](uint32_t type) {
      const char* text = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
      return text != nullptr ? std::string(text) : std::to_string(type);
    };
    Note(out, "type", name(*expected.type), name(actual.type));
  }
  NoteNumber(out, "key size", expected.key_size, actual.key_size);
  NoteNumber(out, "value size", expected.value_size, actual.value_size);
  NoteNumber(out, "max entries", expected.max_entries, actual.max_entries);
  if (expected.flags) {
    NoteNumber(out, "flags", ComparableFlags(actual.type, *expected.flags),
               ComparableFlags(actual.type, actual.flags));
  }
  NoteBtf(out, "key type", expected.key_btf, actual.key_btf);
  NoteBtf(out, "value type", expected.value_btf, actual.value_btf);
  return out;
}

Napi::Object SpecToJs(Napi::Env env, const MapSpec& spec) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("id", spec.id);
  out.Set("name", spec.name);
  out.Set("type", spec.type);
  out.Set("keySize", spec.key_size);
  out.Set("valueSize", spec.value_size);
  out.Set("maxEntries", spec.max_entries);
  out.Set("flags", spec.flags);
  if (!spec.key_btf.empty() || !spec.value_btf.empty()) {
    Napi::Object types = Napi::Object::New(env);
    types.Set("key", spec.key_btf);
    types.Set("value", spec.value_btf);
    out.Set("btf", types);
  }
  return out;
}

bool IsPerCpu(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

size_t ValueBytes(uint32_t type, uint32_t value_size) {
  if (!IsPerCpu(type)) return value_size;
  int cpus = libbpf_num_possible_cpus();
  return ((value_size + 7ULL) & ~7ULL) * static_cast<size_t>(cpus > 0 ? cpus : 1);
}
