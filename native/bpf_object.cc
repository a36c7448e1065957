#include "bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <strings.h>

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "args.h"
#include "async_work.h"
#include "bpf_map.h"
#include "bpf_program.h"
#include "errors.h"
#include "map_spec.h"
#include "object_file.h"
#include "unique_fd.h"

namespace {

struct NamedFd {
  std::string name;
  UniqueFd fd;
};

// What load() was asked for, without any JavaScript value in it.
struct LoadRequest {
  std::string path;
  std::vector<std::pair<std::string, std::vector<uint8_t>>> rodata;
  std::vector<NamedFd> reuse;
  std::vector<std::pair<std::string, uint32_t>> max_entries;
  std::optional<std::set<std::string>> programs;
};

struct LoadedObject {
  std::vector<NamedFd> maps;
  std::vector<NamedFd> programs;
};

bpf_map* FindMap(bpf_object* object, const std::string& name) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    if (!bpf_map__is_internal(map) && name == bpf_map__name(map)) return map;
  }
  return nullptr;
}

[[noreturn]] void ThrowUnknown(const LoadRequest& request, const char* kind,
                               const std::string& name) {
  throw KernelError{ENOENT, "bpf_object__open", "load", "object " + request.path,
                    std::string("it has no ") + kind + " \"" + name + "\""};
}

void SetRodata(bpf_object* object, const LoadRequest& request) {
  if (request.rodata.empty()) return;
  std::vector<Variable> variables = ReadOnlyVariables(object);
  for (const auto& [name, bytes] : request.rodata) {
    const Variable* variable = nullptr;
    for (const Variable& v : variables) {
      if (v.name == name) variable = &v;
    }
    if (variable == nullptr) ThrowUnknown(request, "read-only variable", name);
    if (variable->size != bytes.size()) {
      throw KernelError{EINVAL, "bpf_map__initial_value", "load", "object " + request.path,
                        "variable \"" + name + "\" is " + std::to_string(variable->size) +
                            " bytes, got " + std::to_string(bytes.size())};
    }
    bpf_map* map;
    bpf_object__for_each_map(map, object) {
      const char* dot = strchr(bpf_map__name(map), '.');
      if (!bpf_map__is_internal(map) || dot == nullptr || variable->section != dot) continue;
      size_t size = 0;
      auto* memory = static_cast<uint8_t*>(const_cast<void*>(bpf_map__initial_value(map, &size)));
      if (memory != nullptr && variable->offset + variable->size <= size) {
        memcpy(memory + variable->offset, bytes.data(), bytes.size());
      }
    }
  }
}

void ReuseMaps(bpf_object* object, const LoadRequest& request) {
  for (const NamedFd& reuse : request.reuse) {
    bpf_map* map = FindMap(object, reuse.name);
    if (map == nullptr) ThrowUnknown(request, "map", reuse.name);
    // libbpf would take any descriptor here and adopt its sizes.
    std::string different =
        Differences(Expect(SpecOfObjectMap(object, map)), SpecOfFd(reuse.fd.get(), true));
    if (!different.empty()) {
      throw KernelError{EINVAL, "bpf_map__reuse_fd", "load", "object " + request.path,
                        "map " + reuse.name + " cannot be reused: " + different};
    }
    if (bpf_map__reuse_fd(map, reuse.fd.get()) != 0) {
      throw KernelError{errno, "bpf_map__reuse_fd", "load", "object " + request.path};
    }
  }
}

void SelectPrograms(bpf_object* object, const LoadRequest& request) {
  if (!request.programs) return;
  std::set<std::string> missing = *request.programs;
  bpf_program* program;
  bpf_object__for_each_program(program, object) {
    std::string name = bpf_program__name(program);
    bpf_program__set_autoload(program, missing.erase(name) > 0);
  }
  if (!missing.empty()) ThrowUnknown(request, "program", *missing.begin());
}

UniqueFd DupOrThrow(int fd, const LoadRequest& request) {
  UniqueFd copy = UniqueFd::Dup(fd);
  if (!copy) throw KernelError{errno, "fcntl(F_DUPFD_CLOEXEC)", "load", "object " + request.path};
  return copy;
}

LoadedObject Load(const LoadRequest& request) {
  ObjectPtr object = OpenObject(request.path, "load");
  for (const auto& [name, entries] : request.max_entries) {
    bpf_map* map = FindMap(object.get(), name);
    if (map == nullptr) ThrowUnknown(request, "map", name);
    bpf_map__set_max_entries(map, entries);
  }
  SetRodata(object.get(), request);
  ReuseMaps(object.get(), request);
  SelectPrograms(object.get(), request);

  {
    LibbpfLog log;
    if (int result = bpf_object__load(object.get()); result != 0) {
      std::string detail = log.Messages(), refusal = log.VerifierLog();
      // With a verifier log the first sentence names the program; the others repeat it.
      if (!refusal.empty()) detail = detail.substr(0, detail.find("; "));
      throw KernelError{-result, "bpf_object__load", "load", "object " + request.path, detail,
                        refusal};
    }
  }
  LoadedObject loaded;
  bpf_map* map;
  bpf_object__for_each_map(map, object.get()) {
    int fd = bpf_map__fd(map);
    if (fd < 0) continue;
    loaded.maps.push_back({SpecOfObjectMap(object.get(), map).name, DupOrThrow(fd, request)});
  }
  bpf_program* program;
  bpf_object__for_each_program(program, object.get()) {
    int fd = bpf_program__fd(program);
    if (fd < 0) continue;  // not selected
    loaded.programs.push_back({bpf_program__name(program), DupOrThrow(fd, request)});
  }
  return loaded;
}

LoadRequest RequestArg(const Napi::CallbackInfo& info) {
  LoadRequest request{StringArg(info[0], "path")};
  auto entries = [](const Napi::Value& value, auto&& each) {
    if (!value.IsObject()) return;
    auto object = value.As<Napi::Object>();
    Napi::Array names = object.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); i++) {
      std::string name = names.Get(i).As<Napi::String>();
      each(name, object.Get(name));
    }
  };
  entries(info[1], [&](const std::string& name, const Napi::Value& value) {
    Bytes bytes = BytesArg(value, name.c_str());
    request.rodata.emplace_back(name, std::vector<uint8_t>(bytes.data, bytes.data + bytes.size));
  });
  entries(info[2], [&](const std::string& name, const Napi::Value& value) {
    // A copy, so that closing the map while the load runs is harmless.
    request.reuse.push_back({name, DupOrThrow(BpfMap::From(value)->fd(), request)});
  });
  entries(info[3], [&](const std::string& name, const Napi::Value& value) {
    request.max_entries.emplace_back(name, Uint32Arg(value));
  });
  if (info[4].IsArray()) {
    auto names = info[4].As<Napi::Array>();
    request.programs.emplace();
    for (uint32_t i = 0; i < names.Length(); i++) {
      request.programs->insert(StringArg(names.Get(i), "program name"));
    }
  }
  return request;
}

template <typename Wrapper>
Napi::Array HandlesToJs(Napi::Env env, std::vector<NamedFd>& list) {
  Napi::Array out = Napi::Array::New(env, list.size());
  for (size_t i = 0; i < list.size(); i++) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", list[i].name);
    entry.Set("handle", Wrapper::New(env, std::move(list[i].fd), list[i].name));
    out.Set(static_cast<uint32_t>(i), entry);
  }
  return out;
}

}  // namespace

Napi::Value LoadObject(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    auto request = std::make_shared<LoadRequest>(RequestArg(info));
    return RunAsync(
        env, "BpfObject.load", [request] { return Load(*request); },
        [](Napi::Env env, LoadedObject& loaded) -> Napi::Value {
          Napi::Object out = Napi::Object::New(env);
          out.Set("maps", HandlesToJs<BpfMap>(env, loaded.maps));
          out.Set("programs", HandlesToJs<BpfProgram>(env, loaded.programs));
          return out;
        });
  });
}
