#include "object_file.h"

#include <bpf/btf.h>

#include <cerrno>
#include <cstring>

#include "args.h"
#include "errors.h"
#include "map_spec.h"

namespace {

// libbpf 1.1 does not know the tcx sections. The expected attach type stays 0: the kernel takes a
// tcx link's type from the attach call, and programs that differ in it cannot share a tail-call
// array.
void NameTcxPrograms(bpf_object* object) {
  bpf_program* program;
  bpf_object__for_each_program(program, object) {
    const char* section = bpf_program__section_name(program);
    if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC && strncmp(section, "tcx/", 4) == 0) {
      bpf_program__set_type(program, BPF_PROG_TYPE_SCHED_CLS);
    }
  }
}

}  // namespace

ObjectPtr OpenObject(const std::string& path, const char* verb) {
  LibbpfLog log;
  // libbpf's strict mode: NULL and errno on failure.
  ObjectPtr object(bpf_object__open_file(path.c_str(), nullptr), bpf_object__close);
  if (!object) {
    int err = errno;
    throw KernelError{err, "bpf_object__open", verb, "object " + path,
                      err == ENOENT ? "" : log.Messages()};
  }
  NameTcxPrograms(object.get());
  return object;
}

std::vector<Variable> ReadOnlyVariables(const bpf_object* object) {
  std::vector<Variable> out;
  const btf* types = bpf_object__btf(object);
  if (types == nullptr) return out;
  for (__u32 id = 1; id < btf__type_cnt(types); id++) {
    const btf_type* type = btf__type_by_id(types, id);
    if (!btf_is_datasec(type)) continue;
    std::string section = btf__name_by_offset(types, type->name_off);
    if (section.rfind(".rodata", 0) != 0) continue;
    const btf_var_secinfo* entry = btf_var_secinfos(type);
    for (__u16 i = 0; i < btf_vlen(type); i++, entry++) {
      const btf_type* var = btf__type_by_id(types, entry->type);
      out.push_back(
          {section, btf__name_by_offset(types, var->name_off), entry->offset, entry->size});
    }
  }
  return out;
}

Napi::Value InspectObject(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = StringArg(info[0], "path");
  return Guard(env, [&]() -> Napi::Value {
    ObjectPtr object = OpenObject(path, "inspect");
    Napi::Array maps = Napi::Array::New(env);
    bpf_map* map;
    bpf_object__for_each_map(map, object.get()) {
      Napi::Object spec = SpecToJs(env, SpecOfObjectMap(object.get(), map));
      spec.Delete("id");
      maps.Set(maps.Length(), spec);
    }
    Napi::Array programs = Napi::Array::New(env);
    bpf_program* program;
    bpf_object__for_each_program(program, object.get()) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("name", bpf_program__name(program));
      entry.Set("section", bpf_program__section_name(program));
      entry.Set("type", static_cast<uint32_t>(bpf_program__type(program)));
      entry.Set("instructions", static_cast<double>(bpf_program__insn_cnt(program)));
      programs.Set(programs.Length(), entry);
    }
    Napi::Array variables = Napi::Array::New(env);
    for (const Variable& variable : ReadOnlyVariables(object.get())) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("section", variable.section);
      entry.Set("name", variable.name);
      entry.Set("offset", variable.offset);
      entry.Set("size", variable.size);
      variables.Set(variables.Length(), entry);
    }
    Napi::Object out = Napi::Object::New(env);
    out.Set("maps", maps);
    out.Set("programs", programs);
    out.Set("variables", variables);
    return out;
  });
}
