#pragma once
#include <napi.h>

#include <memory>
#include <string>

#include "addon_data.h"
#include "unique_fd.h"

// One link descriptor: the attachment lives as long as a descriptor or a pin of it.
class BpfLink : public Napi::ObjectWrap<BpfLink>, private Closable {
 public:
  static Napi::Function Init(Napi::Env env, AddonData& data);
  static Napi::Value AttachTcx(const Napi::CallbackInfo& info);
  static Napi::Value AttachXdp(const Napi::CallbackInfo& info);
  static Napi::Value AttachCgroup(const Napi::CallbackInfo& info);
  static Napi::Value OpenPinned(const Napi::CallbackInfo& info);
  static Napi::Value OpenById(const Napi::CallbackInfo& info);

  explicit BpfLink(const Napi::CallbackInfo& info);
  ~BpfLink() override;

 private:
  static Napi::Object New(Napi::Env env, UniqueFd fd, const std::string& label);
  static BpfLink* From(const Napi::Value& value);
  void CloseAtTeardown() override;
  int fd() const;

  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Closed(const Napi::CallbackInfo& info);
  Napi::Value Update(const Napi::CallbackInfo& info);
  Napi::Value Detach(const Napi::CallbackInfo& info);
  Napi::Value Pin(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  UniqueFd fd_;
  std::string label_;
  std::shared_ptr<Registry> registry_;
};
