#pragma once
#include <functional>
#include <memory>

#include "addon_data.h"
#include "uv_abi.h"

// Calls back on the environment's thread when a descriptor becomes readable (level-triggered). The
// descriptor must stay open until Stop(). May be destroyed at any time, its own callback included.
class PollWatcher {
 public:
  PollWatcher(std::shared_ptr<Registry> registry, int fd, std::function<void()> on_readable);
  ~PollWatcher() { Stop(); }
  PollWatcher(const PollWatcher&) = delete;
  PollWatcher& operator=(const PollWatcher&) = delete;

  // 0, or a negative errno from libuv.
  int Start();
  // Idempotent; libuv frees the handle in a later loop turn.
  void Stop();
  void Ref();
  void Unref();

 private:
  struct Shared {
    std::shared_ptr<Registry> registry;
    std::function<void()> on_readable;
    bool stopped = false;
  };
  static void OnPoll(uv_poll_t* handle, int status, int events);
  static void OnClosed(uv_handle_t* handle);

  int fd_;
  uv_poll_t* handle_ = nullptr;
  std::shared_ptr<Shared> shared_;
};
