#pragma once
#include <napi.h>

// () -> { permitted, ringbuf, ... }: what this kernel does, found by trying it. Leaves nothing
// behind.
Napi::Value ProbeFeatures(const Napi::CallbackInfo& info);
// (progType, helperId) -> boolean
Napi::Value ProbeHelper(const Napi::CallbackInfo& info);
