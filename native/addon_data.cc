#include "addon_data.h"

#include <vector>

Registry::Registry(napi_env env) {
  napi_get_uv_event_loop(env, &loop_);
}

void Registry::InstallCleanupHook(napi_env env, const std::shared_ptr<Registry>& self) {
  keep_alive_ = self;
  napi_add_async_cleanup_hook(env, OnEnvCleanup, this, &cleanup_);
}

void Registry::OnEnvCleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* self = static_cast<Registry*>(data);
  self->tearing_down_ = true;
  // CloseAtTeardown() removes from open_, so walk over a copy.
  std::vector<Closable*> open(self->open_.begin(), self->open_.end());
  for (Closable* closable : open) closable->CloseAtTeardown();
  self->FinishTeardown();
}

void Registry::HandleClosed() {
  closing_--;
  FinishTeardown();
}

void Registry::FinishTeardown() {
  if (!tearing_down_ || closing_ > 0 || cleanup_ == nullptr) return;
  napi_remove_async_cleanup_hook(cleanup_);
  cleanup_ = nullptr;
  // Last: may destroy *this.
  std::shared_ptr<Registry> last = std::move(keep_alive_);
}

AddonData::AddonData(Napi::Env env) : registry(std::make_shared<Registry>(env)) {
  registry->InstallCleanupHook(env, registry);
}
