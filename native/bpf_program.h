#pragma once
#include <napi.h>

#include <memory>
#include <string>

#include "addon_data.h"
#include "unique_fd.h"

// One program descriptor.
class BpfProgram : public Napi::ObjectWrap<BpfProgram>, private Closable {
 public:
  static Napi::Function Init(Napi::Env env, AddonData& data);
  static Napi::Object New(Napi::Env env, UniqueFd fd, const std::string& name);
  static BpfProgram* From(const Napi::Value& value);
  static Napi::Value OpenPinned(const Napi::CallbackInfo& info);
  static Napi::Value OpenById(const Napi::CallbackInfo& info);

  explicit BpfProgram(const Napi::CallbackInfo& info);
  ~BpfProgram() override;

  int fd() const;
  std::string label() const { return "program " + name_; }

 private:
  void CloseAtTeardown() override;

  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Closed(const Napi::CallbackInfo& info);
  Napi::Value TestRun(const Napi::CallbackInfo& info);
  Napi::Value Pin(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  UniqueFd fd_;
  std::string name_;
  std::shared_ptr<Registry> registry_;
};

// The kernel's hexadecimal tag: a hash of the instructions, the same for the same code.
std::string TagText(const unsigned char* tag);
