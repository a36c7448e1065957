#include "netlink.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "args.h"
#include "async_work.h"
#include "errors.h"
#include "js_callback.h"

namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr int kDatagramsPerWakeup = 32;
constexpr int kInterruptedDumps = 20;

UniqueFd OpenSocket(int flags) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd) throw KernelError{errno, "socket(AF_NETLINK)", "open", "rtnetlink"};
  return fd;
}

struct Request {
  uint16_t type;
  size_t header_size;
  const char* what;
};

Request RequestFor(const std::string& what) {
  if (what == "links") return {RTM_GETLINK, sizeof(ifinfomsg), "links"};
  if (what == "addresses") return {RTM_GETADDR, sizeof(ifaddrmsg), "addresses"};
  if (what == "neighbours") return {RTM_GETNEIGH, sizeof(ndmsg), "neighbours"};
  return {RTM_GETROUTE, sizeof(rtmsg), "routes"};
}

void SendDump(int fd, const Request& request, uint32_t sequence) {
  struct {
    nlmsghdr header;
    unsigned char body[sizeof(ifinfomsg)];  // the largest of the four; zero = any family
  } message = {};
  static_assert(sizeof(ifinfomsg) >= sizeof(rtmsg) && sizeof(ifinfomsg) >= sizeof(ndmsg) &&
                sizeof(ifinfomsg) >= sizeof(ifaddrmsg));
  message.header.nlmsg_len = static_cast<__u32>(NLMSG_LENGTH(request.header_size));
  message.header.nlmsg_type = request.type;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.header.nlmsg_seq = sequence;
  if (send(fd, &message, message.header.nlmsg_len, 0) < 0) {
    throw KernelError{errno, "send(AF_NETLINK)", "list", request.what};
  }
}

// One pass; false when the table changed under the dump and it must be repeated.
bool ReceiveDump(int fd, const Request& request, uint32_t sequence,
                 std::vector<NetlinkRecord>& records) {
  std::vector<char> buffer(kBufferBytes);
  bool consistent = true;
  for (;;) {
    ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw KernelError{errno, "recv(AF_NETLINK)", "list", request.what};
    auto left = static_cast<unsigned int>(size);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != sequence) continue;
      if (message->nlmsg_flags & NLM_F_DUMP_INTR) consistent = false;
      if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
        int error = 0;
        if (message->nlmsg_len >= NLMSG_LENGTH(sizeof error)) {
          memcpy(&error, NLMSG_DATA(message), sizeof error);
        }
        if (error < 0) throw KernelError{-error, "netlink dump", "list", request.what};
        return consistent;
      }
      if (auto record = ParseNetlink(message)) records.push_back(std::move(*record));
    }
  }
}

std::vector<NetlinkRecord> DumpAll(int fd, const Request& request) {
  for (uint32_t attempt = 1;; attempt++) {
    std::vector<NetlinkRecord> records;
    SendDump(fd, request, attempt);
    if (ReceiveDump(fd, request, attempt, records)) return records;
    if (attempt >= kInterruptedDumps) {
      throw KernelError{EAGAIN, "netlink dump", "list", request.what,
                        "the table kept changing while it was read"};
    }
  }
}

Napi::Array RecordsToJs(Napi::Env env, const std::vector<NetlinkRecord>& records) {
  Napi::Array list = Napi::Array::New(env, records.size());
  for (size_t i = 0; i < records.size(); i++) {
    list.Set(static_cast<uint32_t>(i), NetlinkToJs(env, records[i]));
  }
  return list;
}

}  // namespace

Napi::Function Netlink::Init(Napi::Env env) {
  return DefineClass(env, "NativeNetlink",
                     {
                         InstanceAccessor<&Netlink::Closed>("closed"),
                         InstanceMethod<&Netlink::Dump>("dump"),
                         InstanceMethod<&Netlink::SetRef>("setRef"),
                         InstanceMethod<&Netlink::Close>("close"),
                     });
}

Netlink::Netlink(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Netlink>(info), registry_(AddonData::Of(info.Env())->registry) {
  Napi::Env env = info.Env();
  auto groups = info[0].As<Napi::Array>();
  int receive_bytes = static_cast<int>(Uint32Arg(info[2], 4 << 20));
  Guard(env, [&] {
    UniqueFd fd = OpenSocket(SOCK_NONBLOCK);
    sockaddr_nl local = {};
    local.nl_family = AF_NETLINK;
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof local) != 0) {
      throw KernelError{errno, "bind(AF_NETLINK)", "open", "rtnetlink"};
    }
    // Beyond rmem_max where we may, else as much as everybody may.
    if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes) !=
        0) {
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    for (uint32_t i = 0; i < groups.Length(); i++) {
      int group = static_cast<int>(Uint32Arg(groups.Get(i)));
      if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
        throw KernelError{errno, "setsockopt(NETLINK_ADD_MEMBERSHIP)", "subscribe to",
                          "rtnetlink group " + std::to_string(group)};
      }
    }
    on_events_ = Napi::Persistent(info[1].As<Napi::Function>());
    async_context_ = std::make_shared<Napi::AsyncContext>(env, "Netlink");
    socket_ = std::move(fd);
    watcher_ = std::make_unique<PollWatcher>(registry_, socket_.get(), [this] { OnReadable(); });
    if (int result = watcher_->Start(); result != 0) {
      watcher_.reset();
      socket_.Reset();
      throw KernelError{-result, "uv_poll_start", "watch", "rtnetlink"};
    }
  });
  registry_->Add(this);
  Ref();
}

Netlink::~Netlink() {
  CloseAtTeardown();
}

void Netlink::CloseAtTeardown() {
  if (!socket_) return;
  watcher_.reset();
  socket_.Reset();
  registry_->Remove(this);
}

// True when the kernel had to drop events: the caller's picture is stale.
bool Netlink::Read(std::vector<NetlinkRecord>& records) {
  std::vector<char> buffer(kBufferBytes);
  bool overflow = false;
  for (int i = 0; i < kDatagramsPerWakeup; i++) {
    sockaddr_nl from = {};
    iovec part = {buffer.data(), buffer.size()};
    msghdr header = {};
    header.msg_name = &from;
    header.msg_namelen = sizeof from;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    ssize_t size = recvmsg(socket_.get(), &header, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      overflow = true;
      continue;
    }
    if (size < 0) break;  // EAGAIN: read it all
    if (header.msg_flags & MSG_TRUNC) {
      overflow = true;
      continue;
    }
    if (from.nl_pid != 0) continue;  // not from the kernel
    auto left = static_cast<unsigned int>(size);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (auto record = ParseNetlink(message)) records.push_back(std::move(*record));
    }
  }
  return overflow;
}

void Netlink::OnReadable() {
  CallJs(Env(), [this](Napi::Env env) {
    std::vector<NetlinkRecord> records;
    bool overflow = Read(records);
    if (records.empty() && !overflow) return;
    std::shared_ptr<Napi::AsyncContext> context = async_context_;
    Napi::Function on_events = on_events_.Value();
    on_events.MakeCallback(
        env.Global(), {RecordsToJs(env, records), Napi::Boolean::New(env, overflow)}, *context);
  });
}

// (what) -> Promise<record[]>
Napi::Value Netlink::Dump(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    if (!socket_) throw KernelError{EBADF, "close", "use", "rtnetlink", "it is closed"};
    Request request = RequestFor(StringArg(info[0], "what"));
    // Made on this thread: a thread of the pool may be in another network namespace.
    auto fd = std::make_shared<UniqueFd>(OpenSocket(0));
    return RunAsync(
        env, "Netlink.dump", [fd, request] { return DumpAll(fd->get(), request); },
        [](Napi::Env env, std::vector<NetlinkRecord>& records) -> Napi::Value {
          return RecordsToJs(env, records);
        });
  });
}

Napi::Value Netlink::SetRef(const Napi::CallbackInfo& info) {
  if (watcher_) info[0].ToBoolean() ? watcher_->Ref() : watcher_->Unref();
  return info.Env().Undefined();
}

Napi::Value Netlink::Close(const Napi::CallbackInfo& info) {
  if (!socket_) return info.Env().Undefined();
  CloseAtTeardown();
  on_events_.Reset();
  async_context_.reset();
  Unref();
  return info.Env().Undefined();
}

Napi::Value Netlink::Closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !socket_);
}
