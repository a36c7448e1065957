#include "system.h"

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "addon_data.h"
#include "args.h"
#include "async_work.h"
#include "errors.h"
#include "unique_fd.h"

namespace {

// An update of a map of maps from user space ends with synchronize_rcu(), the same wait. Needed
// where MEMBARRIER_CMD_GLOBAL is refused (nohz_full kernels).
void SynchronizeByMap() {
  const KernelError failed{0, "bpf(BPF_MAP_UPDATE_ELEM)", "wait for", "running programs"};
  auto check = [&](bool ok) {
    if (ok) return;
    KernelError error = failed;
    error.err = errno;
    throw error;
  };
  UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "barrier_in", 4, 4, 1, nullptr));
  check(static_cast<bool>(inner));
  LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = static_cast<__u32>(inner.get()));
  UniqueFd outer(bpf_map_create(BPF_MAP_TYPE_HASH_OF_MAPS, "barrier", 4, 4, 1, &options));
  check(static_cast<bool>(outer));
  __u32 key = 0;
  int value = inner.get();
  check(bpf_map_update_elem(outer.get(), &key, &value, BPF_ANY) == 0);
}

}  // namespace

Napi::Value Membarrier(const Napi::CallbackInfo& info) {
  bool force_map = info[0].ToBoolean();
  return RunAsync(
      info.Env(), "membarrier",
      [force_map]() -> bool {
        if (!force_map && syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return true;
        if (!force_map && errno != EINVAL && errno != ENOSYS && errno != EPERM) {
          throw KernelError{errno, "membarrier", "wait for", "running programs"};
        }
        SynchronizeByMap();
        return false;
      },
      [](Napi::Env env, bool& by_membarrier) -> Napi::Value {
        return Napi::String::New(env, by_membarrier ? "membarrier" : "map");
      });
}

Napi::Value NetnsCookie(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    const char* object = "cookie of the network namespace";
    UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) throw KernelError{errno, "socket", "read", object};
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) {
      throw KernelError{errno, "getsockopt(SO_NETNS_COOKIE)", "read", object};
    }
    return Napi::BigInt::New(info.Env(), cookie);
  });
}

Napi::Value MonotonicNs(const Napi::CallbackInfo& info) {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t ns =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(now.tv_nsec);
  return Napi::BigInt::New(info.Env(), ns);
}

Napi::Value MountBpffs(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    std::string path = StringArg(info[0], "path");
    if (mount("bpffs", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
      throw KernelError{errno, "mount", "mount", "bpffs at " + path};
    }
    return info.Env().Undefined();
  });
}

Napi::Value IsBpffs(const Napi::CallbackInfo& info) {
  struct statfs fs = {};
  std::string path = StringArg(info[0], "path");
  bool is = statfs(path.c_str(), &fs) == 0 && static_cast<unsigned long>(fs.f_type) == BPF_FS_MAGIC;
  return Napi::Boolean::New(info.Env(), is);
}

Napi::Value LockFile(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&]() -> Napi::Value {
    int fd = info[0].ToNumber().Int32Value();
    bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno != EWOULDBLOCK) throw KernelError{errno, "flock", "lock", "file"};
    return Napi::Boolean::New(info.Env(), locked);
  });
}

Napi::Value OpenHandles(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(),
                           static_cast<double>(AddonData::Of(info.Env())->registry->open()));
}
