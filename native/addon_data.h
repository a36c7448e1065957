#pragma once
#include <napi.h>

#include <memory>
#include <unordered_set>

struct uv_loop_s;

// Something that holds a kernel resource and can be closed when its environment goes away.
class Closable {
 public:
  virtual ~Closable() = default;
  // Releases the resource without calling into JavaScript. Idempotent.
  virtual void CloseAtTeardown() = 0;
};

// What one environment has open. Shared with every wrapper, so that a finalizer that runs after the
// instance data is gone still finds it.
class Registry {
 public:
  explicit Registry(napi_env env);
  void Add(Closable* closable) { open_.insert(closable); }
  void Remove(Closable* closable) { open_.erase(closable); }
  size_t open() const { return open_.size(); }
  uv_loop_s* loop() const { return loop_; }

  // libuv closes a handle one loop turn later; teardown waits for those.
  void HandleClosing() { closing_++; }
  void HandleClosed();

  void InstallCleanupHook(napi_env env, const std::shared_ptr<Registry>& self);

 private:
  static void OnEnvCleanup(napi_async_cleanup_hook_handle handle, void* self);
  void FinishTeardown();

  std::unordered_set<Closable*> open_;
  uv_loop_s* loop_ = nullptr;
  int closing_ = 0;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool tearing_down_ = false;
  std::shared_ptr<Registry> keep_alive_;  // until the cleanup hook has run
};

// Per-environment state: no statics, so the addon works in worker threads.
struct AddonData {
  explicit AddonData(Napi::Env env);
  static AddonData* Of(Napi::Env env) { return env.GetInstanceData<AddonData>(); }

  std::shared_ptr<Registry> registry;
  Napi::FunctionReference make_error;
  Napi::FunctionReference map_class;
  Napi::FunctionReference program_class;
  Napi::FunctionReference link_class;
};
