#include "poll_watcher.h"

#include <cerrno>
#include <cstdlib>
#include <utility>

PollWatcher::PollWatcher(std::shared_ptr<Registry> registry, int fd,
                         std::function<void()> on_readable)
    : fd_(fd), shared_(std::make_shared<Shared>()) {
  shared_->registry = std::move(registry);
  shared_->on_readable = std::move(on_readable);
}

int PollWatcher::Start() {
  auto* handle = static_cast<uv_poll_t*>(calloc(1, uv_handle_size(kUvPollHandle)));
  if (handle == nullptr) return -ENOMEM;
  if (int result = uv_poll_init(shared_->registry->loop(), handle, fd_); result != 0) {
    free(handle);
    return result;
  }
  handle_ = handle;
  auto* generic = reinterpret_cast<uv_handle_t*>(handle);
  uv_handle_set_data(generic, new std::shared_ptr<Shared>(shared_));
  int result = uv_poll_start(handle, kUvReadable, OnPoll);
  if (result != 0) Stop();
  return result;
}

void PollWatcher::OnPoll(uv_poll_t* handle, int, int) {
  // A copy: the callback may destroy the watcher.
  auto shared = *static_cast<std::shared_ptr<Shared>*>(
      uv_handle_get_data(reinterpret_cast<uv_handle_t*>(handle)));
  if (!shared->stopped) shared->on_readable();
}

void PollWatcher::Stop() {
  if (handle_ == nullptr) return;
  shared_->stopped = true;
  uv_poll_stop(handle_);
  shared_->registry->HandleClosing();
  uv_close(reinterpret_cast<uv_handle_t*>(handle_), OnClosed);
  handle_ = nullptr;
}

void PollWatcher::OnClosed(uv_handle_t* handle) {
  auto* held = static_cast<std::shared_ptr<Shared>*>(uv_handle_get_data(handle));
  std::shared_ptr<Registry> registry = (*held)->registry;
  delete held;
  free(handle);
  registry->HandleClosed();
}

void PollWatcher::Ref() {
  if (handle_ != nullptr) uv_ref(reinterpret_cast<uv_handle_t*>(handle_));
}

void PollWatcher::Unref() {
  if (handle_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(handle_));
}
