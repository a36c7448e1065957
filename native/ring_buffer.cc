#include "ring_buffer.h"

#include "args.h"
#include "bpf_map.h"
#include "errors.h"
#include "js_callback.h"

namespace {
// Any negative value ends libbpf's pass; this one cannot be an errno.
constexpr int kEnough = -100000;
}  // namespace

Napi::Function RingBuffer::Init(Napi::Env env) {
  return DefineClass(env, "NativeRingBuffer",
                     {
                         InstanceAccessor<&RingBuffer::Closed>("closed"),
                         InstanceMethod<&RingBuffer::Consume>("consume"),
                         InstanceMethod<&RingBuffer::SetRef>("setRef"),
                         InstanceMethod<&RingBuffer::Close>("close"),
                     });
}

RingBuffer::RingBuffer(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<RingBuffer>(info), registry_(AddonData::Of(info.Env())->registry) {
  Napi::Env env = info.Env();
  BpfMap* map = BpfMap::From(info[0]);
  max_per_wakeup_ = std::max(1U, Uint32Arg(info[2], 256));
  label_ = "ring buffer " + map->spec().name;
  Guard(env, [&] {
    // Its own descriptor: libbpf keeps only the number, and the map may be closed before the
    // reader.
    map_fd_ = UniqueFd::Dup(map->fd());
    if (!map_fd_) throw KernelError{errno, "fcntl(F_DUPFD_CLOEXEC)", "read", label_};
    LibbpfLog log;
    ring_ = ring_buffer__new(map_fd_.get(), OnSample, this, nullptr);
    if (ring_ == nullptr) {
      throw KernelError{errno, "ring_buffer__new", "read", label_, log.Messages()};
    }
    on_records_ = Napi::Persistent(info[1].As<Napi::Function>());
    async_context_ = std::make_shared<Napi::AsyncContext>(env, "RingBuffer");
    watcher_ = std::make_unique<PollWatcher>(registry_, ring_buffer__epoll_fd(ring_),
                                             [this] { OnReadable(); });
    if (int result = watcher_->Start(); result != 0) {
      ring_buffer__free(ring_);
      ring_ = nullptr;
      throw KernelError{-result, "uv_poll_start", "read", label_};
    }
  });
  registry_->Add(this);
  Ref();  // open readers stay alive without anybody holding them, like sockets
}

RingBuffer::~RingBuffer() {
  CloseAtTeardown();
}

void RingBuffer::CloseAtTeardown() {
  if (ring_ == nullptr) return;
  watcher_.reset();
  ring_buffer__free(ring_);
  ring_ = nullptr;
  map_fd_.Reset();
  registry_->Remove(this);
}

int RingBuffer::OnSample(void* data, void* record, size_t size) {
  auto* self = static_cast<RingBuffer*>(data);
  auto* bytes = static_cast<uint8_t*>(record);
  self->taking_->emplace_back(bytes, bytes + size);
  // libbpf has already moved past this record when it sees the negative value.
  return self->taking_->size() >= self->max_per_wakeup_ ? kEnough : 0;
}

std::vector<std::vector<uint8_t>> RingBuffer::Take() {
  std::vector<std::vector<uint8_t>> records;
  taking_ = &records;
  int result = ring_buffer__consume(ring_);
  taking_ = nullptr;
  if (result < 0 && result != kEnough) {
    throw KernelError{-result, "ring_buffer__consume", "read", label_};
  }
  return records;
}

void RingBuffer::Deliver(Napi::Env env, const std::vector<std::vector<uint8_t>>& records) {
  Napi::Array list = Napi::Array::New(env, records.size());
  for (size_t i = 0; i < records.size(); i++) {
    list.Set(static_cast<uint32_t>(i), CopyBytes(env, records[i].data(), records[i].size()));
  }
  // The callback may close this reader: keep what the call itself still needs.
  std::shared_ptr<Napi::AsyncContext> context = async_context_;
  Napi::Function on_records = on_records_.Value();
  on_records.MakeCallback(env.Global(), {list}, *context);
}

void RingBuffer::OnReadable() {
  CallJs(Env(), [this](Napi::Env env) {
    auto records = Take();
    if (!records.empty()) Deliver(env, records);
  });
}

// Reads now, without waiting for the loop; the records are returned instead of delivered.
Napi::Value RingBuffer::Consume(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    if (ring_ == nullptr) throw KernelError{EBADF, "close", "use", label_, "it is closed"};
    auto records = Take();
    Napi::Array list = Napi::Array::New(env, records.size());
    for (size_t i = 0; i < records.size(); i++) {
      list.Set(static_cast<uint32_t>(i), CopyBytes(env, records[i].data(), records[i].size()));
    }
    return list;
  });
}

Napi::Value RingBuffer::SetRef(const Napi::CallbackInfo& info) {
  if (watcher_) info[0].ToBoolean() ? watcher_->Ref() : watcher_->Unref();
  return info.Env().Undefined();
}

Napi::Value RingBuffer::Close(const Napi::CallbackInfo& info) {
  if (ring_ == nullptr) return info.Env().Undefined();
  CloseAtTeardown();
  on_records_.Reset();
  async_context_.reset();
  Unref();
  return info.Env().Undefined();
}

Napi::Value RingBuffer::Closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), ring_ == nullptr);
}
