#pragma once
#include <napi.h>

// () -> Promise<"membarrier" | "map">: every program that ran when this was called has ended.
Napi::Value Membarrier(const Napi::CallbackInfo& info);
// () -> bigint
Napi::Value NetnsCookie(const Napi::CallbackInfo& info);
// () -> bigint
Napi::Value MonotonicNs(const Napi::CallbackInfo& info);
// (path) -> undefined; mounts a bpffs
Napi::Value MountBpffs(const Napi::CallbackInfo& info);
// (path) -> boolean
Napi::Value IsBpffs(const Napi::CallbackInfo& info);
// (fd) -> whether this open file has the lock now; until it is closed
Napi::Value LockFile(const Napi::CallbackInfo& info);
// () -> number of open handles in this environment
Napi::Value OpenHandles(const Napi::CallbackInfo& info);
