#include "bpf_map.h"

#include <bpf/bpf.h>
#include <sys/mman.h>

#include <utility>

#include "args.h"
#include "errors.h"
#include "fd_kind.h"

namespace {

struct PendingMap {
  UniqueFd fd;
  std::string name;
};

}  // namespace

void Mapping::Unmap() {
  if (address == nullptr) return;
  munmap(address, size);
  address = nullptr;
}

Napi::Function BpfMap::Init(Napi::Env env, AddonData& data) {
  Napi::Function constructor = DefineClass(env, "NativeMap",
                                           {
                                               InstanceAccessor<&BpfMap::Info>("info"),
                                               InstanceAccessor<&BpfMap::Fd>("fd"),
                                               InstanceAccessor<&BpfMap::Closed>("closed"),
                                               InstanceMethod<&BpfMap::Describe>("describe"),
                                               InstanceMethod<&BpfMap::Lookup>("lookup"),
                                               InstanceMethod<&BpfMap::Update>("update"),
                                               InstanceMethod<&BpfMap::Delete>("delete"),
                                               InstanceMethod<&BpfMap::NextKey>("nextKey"),
                                               InstanceMethod<&BpfMap::LookupBatch>("lookupBatch"),
                                               InstanceMethod<&BpfMap::UpdateBatch>("updateBatch"),
                                               InstanceMethod<&BpfMap::DeleteBatch>("deleteBatch"),
                                               InstanceMethod<&BpfMap::Mmap>("mmap"),
                                               InstanceMethod<&BpfMap::Munmap>("munmap"),
                                               InstanceMethod<&BpfMap::Freeze>("freeze"),
                                               InstanceMethod<&BpfMap::Pin>("pin"),
                                               InstanceMethod<&BpfMap::Close>("close"),
                                           });
  data.map_class = Napi::Persistent(constructor);
  return constructor;
}

Napi::Object BpfMap::New(Napi::Env env, UniqueFd fd, const std::string& name) {
  PendingMap pending{std::move(fd), name};
  return AddonData::Of(env)->map_class.New({Napi::External<PendingMap>::New(env, &pending)});
}

BpfMap::BpfMap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<BpfMap>(info), registry_(AddonData::Of(info.Env())->registry) {
  if (!info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "a map is made by BpfObject.load, create or openPinned");
  }
  auto* pending = info[0].As<Napi::External<PendingMap>>().Data();
  Guard(info.Env(), [&] { Adopt(std::move(pending->fd), pending->name); });
}

void BpfMap::Adopt(UniqueFd fd, const std::string& name) {
  spec_ = SpecOfFd(fd.get(), false);
  // The kernel truncates names; the object's full one is better in messages.
  if (!name.empty()) spec_.name = name;
  value_bytes_ = ValueBytes(spec_.type, spec_.value_size);
  fd_ = std::move(fd);
  registry_->Add(this);
}

BpfMap::~BpfMap() {
  CloseAtTeardown();
}

// Leaves the mapping to the ArrayBuffer's finalizer: without JavaScript nothing can be detached.
void BpfMap::CloseAtTeardown() {
  if (!fd_) return;
  fd_.Reset();
  registry_->Remove(this);
}

BpfMap* BpfMap::From(const Napi::Value& value) {
  Napi::Env env = value.Env();
  if (!value.IsObject() ||
      !value.As<Napi::Object>().InstanceOf(AddonData::Of(env)->map_class.Value())) {
    throw Napi::TypeError::New(env, "expected a BpfMap");
  }
  BpfMap* map = Unwrap(value.As<Napi::Object>());
  Guard(env, [&] { map->fd(); });
  return map;
}

int BpfMap::fd() const {
  if (!fd_) throw KernelError{EBADF, "close", "use", label(), "it is closed"};
  return fd_.get();
}

Napi::Value BpfMap::Create(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto spec = info[0].As<Napi::Object>();
  std::string name = StringArg(spec.Get("name"), "name");
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = Uint32Arg(spec.Get("flags")));
  if (spec.Get("innerMap").IsObject()) {
    options.inner_map_fd = static_cast<__u32>(From(spec.Get("innerMap"))->fd());
  }
  UniqueFd fd(bpf_map_create(static_cast<bpf_map_type>(Uint32Arg(spec.Get("type"))), name.c_str(),
                             Uint32Arg(spec.Get("keySize")), Uint32Arg(spec.Get("valueSize")),
                             Uint32Arg(spec.Get("maxEntries")), &options));
  if (!fd) throw ToJs(env, {errno, "bpf(BPF_MAP_CREATE)", "create", "map " + name});
  return New(env, std::move(fd), name);
}

Napi::Value BpfMap::OpenPinned(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = StringArg(info[0], "path");
  return Guard(env, [&]() -> Napi::Value {
    UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd) throw KernelError{errno, "bpf(BPF_OBJ_GET)", "open", "pinned map " + path};
    RequireFdKind(fd.get(), "map", "pinned map " + path);
    MapExpectation expected = ExpectationArg(info[1]);
    bool with_btf = !expected.key_btf.empty() || !expected.value_btf.empty();
    MapSpec actual = SpecOfFd(fd.get(), with_btf);
    std::string different = Differences(expected, actual);
    if (!different.empty()) {
      throw KernelError{EINVAL, "bpf(BPF_OBJ_GET)", "open", "pinned map " + path, different};
    }
    return New(env, std::move(fd), {});
  });
}

Napi::Value BpfMap::OpenById(const Napi::CallbackInfo& info) {
  uint32_t id = Uint32Arg(info[0]);
  UniqueFd fd(bpf_map_get_fd_by_id(id));
  if (!fd) {
    throw ToJs(info.Env(),
               {errno, "bpf(BPF_MAP_GET_FD_BY_ID)", "open", "map id " + std::to_string(id)});
  }
  return New(info.Env(), std::move(fd), {});
}

Napi::Value BpfMap::Info(const Napi::CallbackInfo& info) {
  Napi::Object out = SpecToJs(info.Env(), spec_);
  out.Set("valueBytes", static_cast<double>(value_bytes_));
  return out;
}

Napi::Value BpfMap::Describe(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    MapSpec spec = SpecOfFd(fd(), true);
    spec.name = spec_.name;
    return SpecToJs(info.Env(), spec);
  });
}

Napi::Value BpfMap::Fd(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value { return Napi::Number::New(info.Env(), fd()); });
}

Napi::Value BpfMap::Closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !fd_);
}

Napi::Value BpfMap::Lookup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    Bytes key = SizedArg(info[0], "key", spec_.key_size, label());
    Napi::Uint8Array value = NewBytes(env, value_bytes_);
    if (bpf_map_lookup_elem(fd(), key.data, value.Data()) == 0) return value;
    if (errno == ENOENT) return env.Undefined();
    throw KernelError{errno, "bpf(BPF_MAP_LOOKUP_ELEM)", "look up", label()};
  });
}

Napi::Value BpfMap::Update(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    Bytes key = SizedArg(info[0], "key", spec_.key_size, label());
    Bytes value = SizedArg(info[1], "value", value_bytes_, label());
    if (bpf_map_update_elem(fd(), key.data, value.data, Uint64Arg(info[2])) != 0) {
      throw KernelError{errno, "bpf(BPF_MAP_UPDATE_ELEM)", "update", label()};
    }
    return env.Undefined();
  });
}

Napi::Value BpfMap::Delete(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    Bytes key = SizedArg(info[0], "key", spec_.key_size, label());
    if (bpf_map_delete_elem(fd(), key.data) == 0) return Napi::Boolean::New(env, true);
    if (errno == ENOENT) return Napi::Boolean::New(env, false);
    throw KernelError{errno, "bpf(BPF_MAP_DELETE_ELEM)", "delete from", label()};
  });
}

Napi::Value BpfMap::NextKey(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const void* key = nullptr;
    if (!info[0].IsUndefined()) key = SizedArg(info[0], "key", spec_.key_size, label()).data;
    Napi::Uint8Array next = NewBytes(env, spec_.key_size);
    if (bpf_map_get_next_key(fd(), key, next.Data()) == 0) return next;
    if (errno == ENOENT) return env.Undefined();
    throw KernelError{errno, "bpf(BPF_MAP_GET_NEXT_KEY)", "iterate", label()};
  });
}

// The same ArrayBuffer while it lives: two mappings of one map would only confuse detaching.
Napi::Value BpfMap::Mmap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    int map_fd = fd();
    if (!buffer_.IsEmpty() && mapping_ && mapping_->address != nullptr) {
      Napi::Value live = buffer_.Value();
      if (!live.IsEmpty() && live.IsArrayBuffer() && !live.As<Napi::ArrayBuffer>().IsDetached()) {
        return live;
      }
    }
    size_t size = ((spec_.value_size + 7ULL) & ~7ULL) * spec_.max_entries;
    void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (address == MAP_FAILED) throw KernelError{errno, "mmap", "map into memory", label()};
    auto mapping = std::make_shared<Mapping>(address, size);
    auto* for_finalizer = new std::shared_ptr<Mapping>(mapping);
    Napi::ArrayBuffer buffer;
    try {
      buffer = Napi::ArrayBuffer::New(
          env, address, size,
          [](Napi::Env, void*, std::shared_ptr<Mapping>* held) {
            (*held)->Unmap();
            delete held;
          },
          for_finalizer);
    } catch (...) {
      delete for_finalizer;
      throw;
    }
    mapping_ = mapping;
    buffer_ = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 0);
    return buffer;
  });
}

void BpfMap::Detach(Napi::Env env) {
  if (!mapping_) return;
  if (!buffer_.IsEmpty()) {
    Napi::Value value = buffer_.Value();
    if (!value.IsEmpty() && value.IsArrayBuffer()) {
      auto buffer = value.As<Napi::ArrayBuffer>();
      // If somebody else detached it, its memory moved on to another ArrayBuffer (transfer()); only
      // the finalizer knows when that one is gone.
      if (!buffer.IsDetached()) {
        buffer.Detach();
        mapping_->Unmap();
      }
    }
  }
  buffer_.Reset();
  mapping_.reset();
}

Napi::Value BpfMap::Munmap(const Napi::CallbackInfo& info) {
  Detach(info.Env());
  return info.Env().Undefined();
}

Napi::Value BpfMap::Freeze(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    if (bpf_map_freeze(fd()) != 0) {
      throw KernelError{errno, "bpf(BPF_MAP_FREEZE)", "freeze", label()};
    }
    return info.Env().Undefined();
  });
}

Napi::Value BpfMap::Pin(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    std::string path = StringArg(info[0], "path");
    if (bpf_obj_pin(fd(), path.c_str()) != 0) {
      throw KernelError{errno, "bpf(BPF_OBJ_PIN)", "pin", label() + " at " + path};
    }
    return info.Env().Undefined();
  });
}

Napi::Value BpfMap::Close(const Napi::CallbackInfo& info) {
  Detach(info.Env());
  CloseAtTeardown();
  return info.Env().Undefined();
}
