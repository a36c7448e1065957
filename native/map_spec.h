#pragma once
#include <bpf/libbpf.h>
#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

// What a map is, whether it exists in the kernel or only in an object file.
struct MapSpec {
  std::string name;
  uint32_t id = 0;  // 0: not in the kernel
  uint32_t type = 0;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t flags = 0;
  std::string key_btf;  // see BtfSignature(); empty when the map carries no BTF
  std::string value_btf;
};

// Reads the kernel's description of a map descriptor; `with_btf` also loads its BTF (slower).
// Throws KernelError.
MapSpec SpecOfFd(int fd, bool with_btf);

// As the object would create it. Internal maps get their section as name (".rodata").
MapSpec SpecOfObjectMap(const bpf_object* object, const bpf_map* map);

// Which bits of a map an expectation pins down; the unset are not compared.
struct MapExpectation {
  std::optional<uint32_t> type, key_size, value_size, max_entries, flags;
  std::string key_btf, value_btf;
};
MapExpectation Expect(const MapSpec& spec);
MapExpectation ExpectationArg(const Napi::Value& value);

// Empty when `actual` is as expected; else a sentence part naming both sides of each difference.
// BTF is compared where both sides have it: the kernel keeps none for device and program maps.
std::string Differences(const MapExpectation& expected, const MapSpec& actual);

Napi::Object SpecToJs(Napi::Env env, const MapSpec& spec);

bool IsPerCpu(uint32_t type);
// Bytes of one value as system calls exchange it: per-CPU maps have one slot for each possible CPU.
size_t ValueBytes(uint32_t type, uint32_t value_size);
