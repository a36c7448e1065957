#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "addon_data.h"
#include "netlink_parse.h"
#include "poll_watcher.h"
#include "unique_fd.h"

// rtnetlink of the network namespace that the calling thread is in when the object is made: dumps
// on the thread pool with sockets of their own, multicast events on the environment's loop.
class Netlink : public Napi::ObjectWrap<Netlink>, private Closable {
 public:
  static Napi::Function Init(Napi::Env env);
  // (groups: number[], onEvents(records[], overflow), receiveBufferBytes)
  explicit Netlink(const Napi::CallbackInfo& info);
  ~Netlink() override;

 private:
  void CloseAtTeardown() override;
  void OnReadable();
  bool Read(std::vector<NetlinkRecord>& records);

  Napi::Value Dump(const Napi::CallbackInfo& info);
  Napi::Value SetRef(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Closed(const Napi::CallbackInfo& info);

  std::shared_ptr<Registry> registry_;
  UniqueFd socket_;
  std::unique_ptr<PollWatcher> watcher_;
  Napi::FunctionReference on_events_;
  std::shared_ptr<Napi::AsyncContext> async_context_;
};
