#pragma once
#include <bpf/libbpf.h>
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "addon_data.h"
#include "poll_watcher.h"
#include "unique_fd.h"

// Reader of one BPF ring buffer on the environment's event loop: no thread of its own. Records are
// copied out first, at most `maxPerWakeup` of them, then handed to JavaScript in one call, so that
// the callback may close the reader and a flood cannot starve the loop.
class RingBuffer : public Napi::ObjectWrap<RingBuffer>, private Closable {
 public:
  static Napi::Function Init(Napi::Env env);
  // (map, onRecords, maxPerWakeup)
  explicit RingBuffer(const Napi::CallbackInfo& info);
  ~RingBuffer() override;

 private:
  static int OnSample(void* self, void* data, size_t size);
  void CloseAtTeardown() override;
  void OnReadable();
  // Copies up to max_per_wakeup_ records; throws KernelError.
  std::vector<std::vector<uint8_t>> Take();
  void Deliver(Napi::Env env, const std::vector<std::vector<uint8_t>>& records);

  Napi::Value Consume(const Napi::CallbackInfo& info);
  Napi::Value SetRef(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Closed(const Napi::CallbackInfo& info);

  std::shared_ptr<Registry> registry_;
  UniqueFd map_fd_;
  std::string label_;
  ring_buffer* ring_ = nullptr;
  std::unique_ptr<PollWatcher> watcher_;
  Napi::FunctionReference on_records_;
  std::shared_ptr<Napi::AsyncContext> async_context_;
  size_t max_per_wakeup_;
  std::vector<std::vector<uint8_t>>* taking_ = nullptr;
};
