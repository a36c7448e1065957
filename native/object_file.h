#pragma once
#include <bpf/libbpf.h>
#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

using ObjectPtr = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

// Opens and parses an object file; nothing reaches the kernel. `verb` is for the error's text.
// Throws KernelError.
ObjectPtr OpenObject(const std::string& path, const char* verb);

// A variable of a .rodata section, by the object's BTF.
struct Variable {
  std::string section, name;
  uint32_t offset, size;
};
std::vector<Variable> ReadOnlyVariables(const bpf_object* object);

// (path) -> { maps, programs, variables }: what the file declares. Nothing is loaded.
Napi::Value InspectObject(const Napi::CallbackInfo& info);
