// libbpf for Node: objects, maps, programs, links, ring buffers and rtnetlink as handles that close
// deterministically. Everything here speaks bytes and file descriptors; layouts, defaults and the
// documented API are in src/native.
#include <napi.h>

#include <mutex>

#include "addon_data.h"
#include "bpf_link.h"
#include "bpf_map.h"
#include "bpf_object.h"
#include "bpf_program.h"
#include "clsact.h"
#include "errors.h"
#include "features.h"
#include "hook_query.h"
#include "netlink.h"
#include "object_file.h"
#include "ring_buffer.h"
#include "system.h"

namespace {

// (makeError(fields) -> Error): how this environment builds its BpfError.
Napi::Value SetErrorFactory(const Napi::CallbackInfo& info) {
  AddonData::Of(info.Env())->make_error = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  LibbpfLog::Install();
  auto* data = new AddonData(env);
  env.SetInstanceData<AddonData>(data);

  auto function = [&](const char* name, Napi::Value (*body)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, body, name));
  };
  function("setErrorFactory", SetErrorFactory);
  function("loadObject", LoadObject);
  function("inspectObject", InspectObject);
  function("createMap", BpfMap::Create);
  function("openPinnedMap", BpfMap::OpenPinned);
  function("openMapById", BpfMap::OpenById);
  function("openPinnedProgram", BpfProgram::OpenPinned);
  function("openProgramById", BpfProgram::OpenById);
  function("attachTcx", BpfLink::AttachTcx);
  function("attachXdp", BpfLink::AttachXdp);
  function("attachCgroup", BpfLink::AttachCgroup);
  function("openPinnedLink", BpfLink::OpenPinned);
  function("openLinkById", BpfLink::OpenById);
  function("attachClsact", AttachClsact);
  function("findClsact", FindClsact);
  function("detachClsact", DetachClsact);
  function("queryTcx", QueryTcx);
  function("queryCgroup", QueryCgroup);
  function("queryXdp", QueryXdp);
  function("queryFilters", QueryFilters);
  function("xdpFeatures", XdpFeatures);
  function("nftChains", NftChains);
  function("probeFeatures", ProbeFeatures);
  function("probeHelper", ProbeHelper);
  function("membarrier", Membarrier);
  function("netnsCookie", NetnsCookie);
  function("monotonicNs", MonotonicNs);
  function("mountBpffs", MountBpffs);
  function("isBpffs", IsBpffs);
  function("lockFile", LockFile);
  function("openHandles", OpenHandles);
  exports.Set("Map", BpfMap::Init(env, *data));
  exports.Set("Program", BpfProgram::Init(env, *data));
  exports.Set("Link", BpfLink::Init(env, *data));
  exports.Set("RingBuffer", RingBuffer::Init(env));
  exports.Set("Netlink", Netlink::Init(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(shunt_native, Init)
