#pragma once
#include <napi.h>

// (path, rodata, reuseMaps, maxEntries, programs?) -> Promise<{ maps, programs }>, each a list of
// { name, handle }. The object file is opened, loaded and closed again on the thread pool; what
// stays are the descriptors.
Napi::Value LoadObject(const Napi::CallbackInfo& info);
