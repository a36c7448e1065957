#pragma once
#include <napi.h>

// Filters on the clsact qdisc, for kernels without tcx. A filter belongs to the device, not to a
// descriptor: it is found again by handle, priority and the tag of its program.

// (ifindex, egress, handle, priority, program, replace) -> { handle, priority, progId, tag }
Napi::Value AttachClsact(const Napi::CallbackInfo& info);
// (ifindex, egress, handle, priority) -> { handle, priority, progId, tag, name } | undefined
Napi::Value FindClsact(const Napi::CallbackInfo& info);
// (ifindex, egress, handle, priority) -> whether there was one
Napi::Value DetachClsact(const Napi::CallbackInfo& info);
