#include "bpf_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <vector>

#include "args.h"
#include "errors.h"
#include "fd_kind.h"

namespace {

struct PendingProgram {
  UniqueFd fd;
  std::string name;
};

constexpr int kSignalRetries = 16;

}  // namespace

std::string TagText(const unsigned char* tag) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (int i = 0; i < BPF_TAG_SIZE; i++) {
    out += kHex[tag[i] >> 4];
    out += kHex[tag[i] & 15];
  }
  return out;
}

Napi::Function BpfProgram::Init(Napi::Env env, AddonData& data) {
  Napi::Function constructor = DefineClass(env, "NativeProgram",
                                           {
                                               InstanceAccessor<&BpfProgram::Info>("info"),
                                               InstanceAccessor<&BpfProgram::Fd>("fd"),
                                               InstanceAccessor<&BpfProgram::Closed>("closed"),
                                               InstanceMethod<&BpfProgram::TestRun>("testRun"),
                                               InstanceMethod<&BpfProgram::Pin>("pin"),
                                               InstanceMethod<&BpfProgram::Close>("close"),
                                           });
  data.program_class = Napi::Persistent(constructor);
  return constructor;
}

Napi::Object BpfProgram::New(Napi::Env env, UniqueFd fd, const std::string& name) {
  PendingProgram pending{std::move(fd), name};
  return AddonData::Of(env)->program_class.New(
      {Napi::External<PendingProgram>::New(env, &pending)});
}

BpfProgram::BpfProgram(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<BpfProgram>(info), registry_(AddonData::Of(info.Env())->registry) {
  if (!info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "a program is made by BpfObject.load or openPinned");
  }
  auto* pending = info[0].As<Napi::External<PendingProgram>>().Data();
  name_ = pending->name;
  bpf_prog_info kernel = {};
  __u32 size = sizeof kernel;
  if (bpf_obj_get_info_by_fd(pending->fd.get(), &kernel, &size) != 0) {
    throw ToJs(info.Env(), {errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)", "inspect", label()});
  }
  if (name_.empty()) name_ = kernel.name;
  fd_ = std::move(pending->fd);
  registry_->Add(this);
}

BpfProgram::~BpfProgram() {
  CloseAtTeardown();
}

void BpfProgram::CloseAtTeardown() {
  if (!fd_) return;
  fd_.Reset();
  registry_->Remove(this);
}

BpfProgram* BpfProgram::From(const Napi::Value& value) {
  Napi::Env env = value.Env();
  if (!value.IsObject() ||
      !value.As<Napi::Object>().InstanceOf(AddonData::Of(env)->program_class.Value())) {
    throw Napi::TypeError::New(env, "expected a BpfProgram");
  }
  BpfProgram* program = Unwrap(value.As<Napi::Object>());
  Guard(env, [&] { program->fd(); });
  return program;
}

int BpfProgram::fd() const {
  if (!fd_) throw KernelError{EBADF, "close", "use", label(), "it is closed"};
  return fd_.get();
}

Napi::Value BpfProgram::OpenPinned(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = StringArg(info[0], "path");
  return Guard(env, [&]() -> Napi::Value {
    UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd) throw KernelError{errno, "bpf(BPF_OBJ_GET)", "open", "pinned program " + path};
    RequireFdKind(fd.get(), "program", "pinned program " + path);
    return New(env, std::move(fd), {});
  });
}

Napi::Value BpfProgram::OpenById(const Napi::CallbackInfo& info) {
  uint32_t id = Uint32Arg(info[0]);
  UniqueFd fd(bpf_prog_get_fd_by_id(id));
  if (!fd) {
    throw ToJs(info.Env(),
               {errno, "bpf(BPF_PROG_GET_FD_BY_ID)", "open", "program id " + std::to_string(id)});
  }
  return New(info.Env(), std::move(fd), {});
}

Napi::Value BpfProgram::Info(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    bpf_prog_info kernel = {};
    __u32 size = sizeof kernel;
    if (bpf_obj_get_info_by_fd(fd(), &kernel, &size) != 0) {
      throw KernelError{errno, "bpf(BPF_OBJ_GET_INFO_BY_FD)", "inspect", label()};
    }
    std::vector<__u32> ids(kernel.nr_map_ids);
    bpf_prog_info again = {};
    again.nr_map_ids = kernel.nr_map_ids;
    again.map_ids = reinterpret_cast<__u64>(ids.data());
    size = sizeof again;
    if (!ids.empty() && bpf_obj_get_info_by_fd(fd(), &again, &size) != 0) ids.clear();

    Napi::Object out = Napi::Object::New(env);
    out.Set("id", kernel.id);
    out.Set("type", kernel.type);
    out.Set("tag", TagText(kernel.tag));
    out.Set("name", name_);
    out.Set("loadTimeNs", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.load_time)));
    out.Set("instructions", kernel.xlated_prog_len / 8);
    out.Set("jitedBytes", kernel.jited_prog_len);
    out.Set("verifiedInstructions", kernel.verified_insns);
    out.Set("runTimeNs", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.run_time_ns)));
    out.Set("runCount", Napi::BigInt::New(env, static_cast<uint64_t>(kernel.run_cnt)));
    Napi::Array map_ids = Napi::Array::New(env, ids.size());
    for (size_t i = 0; i < ids.size(); i++) map_ids.Set(static_cast<uint32_t>(i), ids[i]);
    out.Set("mapIds", map_ids);
    return out;
  });
}

Napi::Value BpfProgram::Fd(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value { return Napi::Number::New(info.Env(), fd()); });
}

Napi::Value BpfProgram::Closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !fd_);
}

// ({ data, ctx?, repeat, dataOutSize, flags, batchSize }) -> { retval, data, ctx?, durationNs }
Napi::Value BpfProgram::TestRun(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    auto request = info[0].As<Napi::Object>();
    Bytes data =
        request.Get("data").IsUndefined() ? Bytes{} : BytesArg(request.Get("data"), "data");
    Bytes ctx = request.Get("ctx").IsUndefined() ? Bytes{} : BytesArg(request.Get("ctx"), "ctx");
    std::vector<uint8_t> data_out(Uint32Arg(request.Get("dataOutSize"))), ctx_out(ctx.size);
    uint32_t flags = Uint32Arg(request.Get("flags"));
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data.data,
                .data_size_in = static_cast<__u32>(data.size), .ctx_in = ctx.data,
                .ctx_size_in = static_cast<__u32>(ctx.size));
    options.repeat = static_cast<int>(Uint32Arg(request.Get("repeat"), 1));
    options.flags = flags;
    options.batch_size = Uint32Arg(request.Get("batchSize"));
    // With live frames the kernel refuses buffers to write back into.
    bool live = (flags & BPF_F_TEST_XDP_LIVE_FRAMES) != 0;
    if (!live) {
      options.data_out = data_out.empty() ? nullptr : data_out.data();
      options.ctx_out = ctx_out.empty() ? nullptr : ctx_out.data();
    }
    int result = -1;
    // A long run ends with EINTR on any signal of this thread (Node's own included).
    for (int attempt = 0; attempt < kSignalRetries; attempt++) {
      options.data_size_out = live ? 0 : static_cast<__u32>(data_out.size());
      options.ctx_size_out = live ? 0 : static_cast<__u32>(ctx_out.size());
      result = bpf_prog_test_run_opts(fd(), &options);
      if (result == 0 || errno != EINTR) break;
    }
    if (result != 0) throw KernelError{errno, "bpf(BPF_PROG_TEST_RUN)", "test-run", label()};
    Napi::Object out = Napi::Object::New(env);
    // The kernel hands the verdict over unsigned; TC_ACT_UNSPEC is -1 to everybody else.
    out.Set("retval", static_cast<int32_t>(options.retval));
    out.Set("durationNs", options.duration);
    out.Set("data", CopyBytes(env, data_out.data(),
                              std::min<size_t>(options.data_size_out, data_out.size())));
    if (ctx.size > 0 && !live) {
      out.Set("ctx",
              CopyBytes(env, ctx_out.data(), std::min<size_t>(options.ctx_size_out, ctx.size)));
    }
    return out;
  });
}

Napi::Value BpfProgram::Pin(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    std::string path = StringArg(info[0], "path");
    if (bpf_obj_pin(fd(), path.c_str()) != 0) {
      throw KernelError{errno, "bpf(BPF_OBJ_PIN)", "pin", label() + " at " + path};
    }
    return info.Env().Undefined();
  });
}

Napi::Value BpfProgram::Close(const Napi::CallbackInfo& info) {
  CloseAtTeardown();
  return info.Env().Undefined();
}
