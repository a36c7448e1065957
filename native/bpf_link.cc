#include "bpf_link.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "args.h"
#include "bpf_program.h"
#include "compat.h"
#include "errors.h"
#include "fd_kind.h"

namespace {

struct PendingLink {
  UniqueFd fd;
  std::string label;
};

// "eth0 (ifindex 2)"; only the number when the device is unknown in this network namespace.
std::string DeviceLabel(uint32_t ifindex) {
  char name[IF_NAMESIZE];
  std::string number = "ifindex " + std::to_string(ifindex);
  return if_indextoname(ifindex, name) != nullptr ? std::string(name) + " (" + number + ")"
                                                  : number;
}

compat::LinkInfo LinkInfoOf(int fd, const std::string& label) {
  compat::LinkInfo kernel = {};
  __u32 size = sizeof kernel;
  if (bpf_obj_get_info_by_fd(fd, &kernel, &size) != 0) {
    throw KernelError{errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)", "inspect", label};
  }
  return kernel;
}

UniqueFd CreateLink(compat::LinkCreateAttr attr, const std::string& object) {
  UniqueFd fd(compat::Bpf(BPF_LINK_CREATE, &attr, sizeof attr));
  if (!fd) throw KernelError{errno, "bpf(BPF_LINK_CREATE)", "attach", object};
  return fd;
}

}  // namespace

Napi::Function BpfLink::Init(Napi::Env env, AddonData& data) {
  Napi::Function constructor = DefineClass(env, "NativeLink",
                                           {
                                               InstanceAccessor<&BpfLink::Info>("info"),
                                               InstanceAccessor<&BpfLink::Fd>("fd"),
                                               InstanceAccessor<&BpfLink::Closed>("closed"),
                                               InstanceMethod<&BpfLink::Update>("update"),
                                               InstanceMethod<&BpfLink::Detach>("detach"),
                                               InstanceMethod<&BpfLink::Pin>("pin"),
                                               InstanceMethod<&BpfLink::Close>("close"),
                                           });
  data.link_class = Napi::Persistent(constructor);
  return constructor;
}

Napi::Object BpfLink::New(Napi::Env env, UniqueFd fd, const std::string& label) {
  PendingLink pending{std::move(fd), label};
  return AddonData::Of(env)->link_class.New({Napi::External<PendingLink>::New(env, &pending)});
}

BpfLink::BpfLink(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<BpfLink>(info), registry_(AddonData::Of(info.Env())->registry) {
  if (!info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "a link is made by BpfLink.attach* or openPinned");
  }
  auto* pending = info[0].As<Napi::External<PendingLink>>().Data();
  fd_ = std::move(pending->fd);
  label_ = pending->label;
  registry_->Add(this);
}

BpfLink::~BpfLink() {
  CloseAtTeardown();
}

void BpfLink::CloseAtTeardown() {
  if (!fd_) return;
  fd_.Reset();
  registry_->Remove(this);
}

BpfLink* BpfLink::From(const Napi::Value& value) {
  Napi::Env env = value.Env();
  if (!value.IsObject() ||
      !value.As<Napi::Object>().InstanceOf(AddonData::Of(env)->link_class.Value())) {
    throw Napi::TypeError::New(env, "expected a BpfLink");
  }
  BpfLink* link = Unwrap(value.As<Napi::Object>());
  Guard(env, [&] { link->fd(); });
  return link;
}

int BpfLink::fd() const {
  if (!fd_) throw KernelError{EBADF, "close", "use", label_, "it is closed"};
  return fd_.get();
}

// (ifindex, egress, program, after, anchorLink?): without an anchor `after` means last, else first.
Napi::Value BpfLink::AttachTcx(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint32_t ifindex = Uint32Arg(info[0]);
    bool egress = info[1].ToBoolean();
    BpfProgram* program = BpfProgram::From(info[2]);
    compat::LinkCreateAttr attr = {};
    attr.prog_fd = static_cast<__u32>(program->fd());
    attr.target = ifindex;
    attr.attach_type = egress ? compat::kAttachTcxEgress : compat::kAttachTcxIngress;
    attr.flags = info[3].ToBoolean() ? compat::kAfter : compat::kBefore;
    if (info[4].IsObject()) {
      attr.flags |= compat::kRelativeIsLink;
      attr.relative_fd = static_cast<__u32>(From(info[4])->fd());
    }
    std::string where = DeviceLabel(ifindex) + (egress ? " tcx egress" : " tcx ingress");
    return New(env, CreateLink(attr, program->label() + " to " + where), "link at " + where);
  });
}

// (ifindex, generic, program)
Napi::Value BpfLink::AttachXdp(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint32_t ifindex = Uint32Arg(info[0]);
    bool generic = info[1].ToBoolean();
    BpfProgram* program = BpfProgram::From(info[2]);
    compat::LinkCreateAttr attr = {};
    attr.prog_fd = static_cast<__u32>(program->fd());
    attr.target = ifindex;
    attr.attach_type = BPF_XDP;
    attr.flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
    std::string where = DeviceLabel(ifindex) + (generic ? " xdp (generic)" : " xdp (native)");
    return New(env, CreateLink(attr, program->label() + " to " + where), "link at " + where);
  });
}

// (cgroupPath, attachType, attachTypeName, program)
Napi::Value BpfLink::AttachCgroup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    std::string path = StringArg(info[0], "cgroupPath");
    std::string where = "cgroup " + path + " " + StringArg(info[2], "attachType");
    BpfProgram* program = BpfProgram::From(info[3]);
    std::string object = program->label() + " to " + where;
    UniqueFd cgroup(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup) throw KernelError{errno, "open", "attach", object};
    compat::LinkCreateAttr attr = {};
    attr.prog_fd = static_cast<__u32>(program->fd());
    attr.target = static_cast<__u32>(cgroup.get());
    attr.attach_type = Uint32Arg(info[1]);
    return New(env, CreateLink(attr, object), "link at " + where);
  });
}

Napi::Value BpfLink::OpenPinned(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = StringArg(info[0], "path");
  std::string label = "pinned link " + path;
  return Guard(env, [&]() -> Napi::Value {
    UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd) throw KernelError{errno, "bpf(BPF_OBJ_GET)", "open", label};
    RequireFdKind(fd.get(), "link", label);
    return New(env, std::move(fd), label);
  });
}

Napi::Value BpfLink::OpenById(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint32_t id = Uint32Arg(info[0]);
    std::string label = "link id " + std::to_string(id);
    UniqueFd fd(bpf_link_get_fd_by_id(id));
    if (!fd) throw KernelError{errno, "bpf(BPF_LINK_GET_FD_BY_ID)", "open", label};
    return New(env, std::move(fd), label);
  });
}

Napi::Value BpfLink::Info(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    compat::LinkInfo kernel = LinkInfoOf(fd(), label_);
    Napi::Object out = Napi::Object::New(env);
    out.Set("id", kernel.id);
    out.Set("type", kernel.type);
    out.Set("progId", kernel.prog_id);
    if (kernel.type == compat::kLinkTypeTcx) {
      out.Set("ifindex", kernel.tcx.ifindex);
      out.Set("attachType", kernel.tcx.attach_type);
    } else if (kernel.type == BPF_LINK_TYPE_XDP) {
      out.Set("ifindex", kernel.xdp.ifindex);
    } else if (kernel.type == BPF_LINK_TYPE_CGROUP) {
      out.Set("cgroupId", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.cgroup.cgroup_id)));
      out.Set("attachType", kernel.cgroup.attach_type);
    }
    return out;
  });
}

Napi::Value BpfLink::Fd(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value { return Napi::Number::New(info.Env(), fd()); });
}

Napi::Value BpfLink::Closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !fd_);
}

// (program, expected?): atomic; with `expected` only while that program is the one attached.
Napi::Value BpfLink::Update(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    BpfProgram* program = BpfProgram::From(info[0]);
    LIBBPF_OPTS(bpf_link_update_opts, options);
    if (info[1].IsObject()) {
      options.flags = BPF_F_REPLACE;
      options.old_prog_fd = static_cast<__u32>(BpfProgram::From(info[1])->fd());
    }
    if (bpf_link_update(fd(), program->fd(), &options) != 0) {
      throw KernelError{errno, "bpf(BPF_LINK_UPDATE)", "replace",
                        label_ + " with " + program->label()};
    }
    return env.Undefined();
  });
}

Napi::Value BpfLink::Detach(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    // ENOLINK: the device or cgroup went away first, and the attachment with it.
    if (bpf_link_detach(fd()) != 0 && errno != ENOLINK) {
      throw KernelError{errno, "bpf(BPF_LINK_DETACH)", "detach", label_};
    }
    return info.Env().Undefined();
  });
}

Napi::Value BpfLink::Pin(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    std::string path = StringArg(info[0], "path");
    if (bpf_obj_pin(fd(), path.c_str()) != 0) {
      throw KernelError{errno, "bpf(BPF_OBJ_PIN)", "pin", label_ + " at " + path};
    }
    return info.Env().Undefined();
  });
}

Napi::Value BpfLink::Close(const Napi::CallbackInfo& info) {
  CloseAtTeardown();
  return info.Env().Undefined();
}
