#include "clsact.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include <optional>

#include "args.h"
#include "bpf_program.h"
#include "errors.h"
#include "unique_fd.h"

namespace {

struct Place {
  uint32_t ifindex;
  bool egress;
  uint32_t handle;
  uint32_t priority;

  std::string label() const {
    char name[IF_NAMESIZE];
    std::string device = "ifindex " + std::to_string(ifindex);
    if (if_indextoname(ifindex, name) != nullptr) device = std::string(name) + " (" + device + ")";
    return device + (egress ? " clsact egress" : " clsact ingress") + " handle " +
           std::to_string(handle) + " priority " + std::to_string(priority);
  }
  bpf_tc_hook hook() const {
    bpf_tc_hook hook = {};
    hook.sz = sizeof hook;
    hook.ifindex = static_cast<int>(ifindex);
    hook.attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
    return hook;
  }
};

Place PlaceArg(const Napi::CallbackInfo& info) {
  return {Uint32Arg(info[0]), info[1].ToBoolean(), Uint32Arg(info[2]), Uint32Arg(info[3])};
}

std::optional<uint32_t> QueryProgram(const Place& place) {
  bpf_tc_hook hook = place.hook();
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = place.handle, .priority = place.priority);
  LibbpfLog log;
  int result = bpf_tc_query(&hook, &options);
  if (result == 0) return options.prog_id;
  // ENOENT: no such filter. EINVAL: the device has no clsact qdisc, so it has no filter either.
  if (result == -ENOENT || (result == -EINVAL && if_nametoindex("lo") != 0)) return std::nullopt;
  throw KernelError{-result, "bpf_tc_query", "find filter at", place.label(), log.Messages()};
}

Napi::Value FilterToJs(Napi::Env env, const Place& place, uint32_t prog_id) {
  UniqueFd fd(bpf_prog_get_fd_by_id(prog_id));
  bpf_prog_info kernel = {};
  __u32 size = sizeof kernel;
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &kernel, &size) != 0) {
    throw KernelError{errno, "bpf(BPF_PROG_GET_FD_BY_ID)", "inspect filter at", place.label()};
  }
  Napi::Object out = Napi::Object::New(env);
  out.Set("handle", place.handle);
  out.Set("priority", place.priority);
  out.Set("progId", prog_id);
  out.Set("tag", TagText(kernel.tag));
  out.Set("name", std::string(kernel.name));
  return out;
}

}  // namespace

Napi::Value AttachClsact(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    Place place = PlaceArg(info);
    BpfProgram* program = BpfProgram::From(info[4]);
    bool replace = info[5].ToBoolean();
    std::string object = program->label() + " to " + place.label();
    bpf_tc_hook hook = place.hook();
    LibbpfLog log;
    int result = bpf_tc_hook_create(&hook);
    if (result != 0 && result != -EEXIST) {
      throw KernelError{-result, "bpf_tc_hook_create", "attach", object};
    }
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program->fd(),
                .flags = replace ? static_cast<__u32>(BPF_TC_F_REPLACE) : 0, .handle = place.handle,
                .priority = place.priority);
    result = bpf_tc_attach(&hook, &options);
    if (result != 0) throw KernelError{-result, "bpf_tc_attach", "attach", object};
    place.handle = options.handle;
    place.priority = options.priority;
    return FilterToJs(env, place, options.prog_id);
  });
}

Napi::Value FindClsact(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    Place place = PlaceArg(info);
    std::optional<uint32_t> prog_id = QueryProgram(place);
    return prog_id ? FilterToJs(env, place, *prog_id) : env.Undefined();
  });
}

Napi::Value DetachClsact(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    Place place = PlaceArg(info);
    if (!QueryProgram(place)) return Napi::Boolean::New(env, false);
    bpf_tc_hook hook = place.hook();
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = place.handle, .priority = place.priority);
    LibbpfLog log;
    int result = bpf_tc_detach(&hook, &options);
    if (result == -ENOENT) return Napi::Boolean::New(env, false);
    if (result != 0) {
      throw KernelError{-result, "bpf_tc_detach", "detach filter at", place.label()};
    }
    return Napi::Boolean::New(env, true);
  });
}
