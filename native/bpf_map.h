#pragma once
#include <napi.h>

#include <memory>
#include <string>

#include "addon_data.h"
#include "map_spec.h"
#include "unique_fd.h"

// Memory shared with a map. Unmapped exactly once, by whoever comes first of close() (which
// detaches the ArrayBuffer before) and the ArrayBuffer's finalizer.
struct Mapping {
  Mapping(void* at, size_t bytes) : address(at), size(bytes) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { Unmap(); }
  void Unmap();

  void* address;
  size_t size;
};

// One map descriptor. Synchronous: every call is a microsecond-scale system call.
class BpfMap : public Napi::ObjectWrap<BpfMap>, private Closable {
 public:
  static Napi::Function Init(Napi::Env env, AddonData& data);
  static Napi::Object New(Napi::Env env, UniqueFd fd, const std::string& name);
  // Throws when `value` is not an open map.
  static BpfMap* From(const Napi::Value& value);
  static Napi::Value Create(const Napi::CallbackInfo& info);
  static Napi::Value OpenPinned(const Napi::CallbackInfo& info);
  static Napi::Value OpenById(const Napi::CallbackInfo& info);

  explicit BpfMap(const Napi::CallbackInfo& info);
  ~BpfMap() override;

  int fd() const;
  const MapSpec& spec() const { return spec_; }
  std::string label() const { return "map " + spec_.name; }

 private:
  void Adopt(UniqueFd fd, const std::string& name);
  void CloseAtTeardown() override;

  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Closed(const Napi::CallbackInfo& info);
  Napi::Value Describe(const Napi::CallbackInfo& info);
  Napi::Value Lookup(const Napi::CallbackInfo& info);
  Napi::Value Update(const Napi::CallbackInfo& info);
  Napi::Value Delete(const Napi::CallbackInfo& info);
  Napi::Value NextKey(const Napi::CallbackInfo& info);
  Napi::Value LookupBatch(const Napi::CallbackInfo& info);
  Napi::Value UpdateBatch(const Napi::CallbackInfo& info);
  Napi::Value DeleteBatch(const Napi::CallbackInfo& info);
  Napi::Value Mmap(const Napi::CallbackInfo& info);
  Napi::Value Munmap(const Napi::CallbackInfo& info);
  Napi::Value Freeze(const Napi::CallbackInfo& info);
  Napi::Value Pin(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  void Detach(Napi::Env env);

  UniqueFd fd_;
  MapSpec spec_;
  size_t value_bytes_ = 0;
  std::shared_ptr<Registry> registry_;
  std::shared_ptr<Mapping> mapping_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;  // weak
};
