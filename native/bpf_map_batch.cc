// The batch calls of BpfMap, each with the detour for kernels and map types that lack it.
#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "args.h"
#include "bpf_map.h"
#include "compat.h"
#include "errors.h"

namespace {

// A kernel without a batch form of this map answers with one of these.
bool LacksBatch(int err) {
  return err == compat::kEnotsupp || err == EOPNOTSUPP || err == EINVAL;
}

}  // namespace

// (count, cursor?) -> { keys, values, count, cursor? }, or undefined when this map has no batch
// form.
Napi::Value BpfMap::LookupBatch(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    // The cursor is a bucket number or a key, depending on the map.
    std::vector<uint8_t> in(std::max<size_t>(spec_.key_size, 8)), out(in.size());
    bool first = !info[1].IsUndefined() ? false : true;
    if (!first) memcpy(in.data(), SizedArg(info[1], "cursor", in.size(), label()).data, in.size());
    uint32_t room = std::max(1U, Uint32Arg(info[0], 256));
    int map_fd = fd();
    for (;;) {
      std::vector<uint8_t> keys(static_cast<size_t>(room) * spec_.key_size);
      std::vector<uint8_t> values(static_cast<size_t>(room) * value_bytes_);
      __u32 count = room;
      int err = 0;
      if (bpf_map_lookup_batch(map_fd, first ? nullptr : in.data(), out.data(), keys.data(),
                               values.data(), &count, nullptr) != 0) {
        err = errno;
      }
      // One hash bucket holds more than fits: the kernel wants more room and has moved nothing.
      if (err == ENOSPC && room < spec_.max_entries) {
        room = std::min<uint32_t>(room * 2, spec_.max_entries);
        continue;
      }
      if (LacksBatch(err)) return env.Undefined();
      if (err != 0 && err != ENOENT) {
        throw KernelError{err, "bpf(BPF_MAP_LOOKUP_BATCH)", "read", label()};
      }
      Napi::Object result = Napi::Object::New(env);
      result.Set("count", count);
      result.Set("keys", CopyBytes(env, keys.data(), static_cast<size_t>(count) * spec_.key_size));
      result.Set("values", CopyBytes(env, values.data(), count * value_bytes_));
      if (err == 0) result.Set("cursor", CopyBytes(env, out.data(), out.size()));
      return result;
    }
  });
}

// (keys, values, count, flags) -> elements written; throws with `processed` set when one is
// refused.
Napi::Value BpfMap::UpdateBatch(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint32_t total = Uint32Arg(info[2]);
    Bytes keys = SizedArg(info[0], "keys", static_cast<size_t>(total) * spec_.key_size, label());
    Bytes values = SizedArg(info[1], "values", total * value_bytes_, label());
    LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = Uint64Arg(info[3]));
    if (total == 0) return Napi::Number::New(env, 0);

    // The batch form knows only BPF_F_LOCK; the others go one by one.
    bool batch = (options.elem_flags & ~static_cast<__u64>(BPF_F_LOCK)) == 0;
    __u32 done = total;
    if (batch) {
      if (bpf_map_update_batch(fd(), keys.data, values.data, &done, &options) == 0) {
        return Napi::Number::New(env, done);
      }
      int err = errno;
      // EINVAL and ENOTSUPP come before the kernel has written the count back.
      if (!LacksBatch(err)) {
        throw KernelError{err,
                          "bpf(BPF_MAP_UPDATE_BATCH)",
                          "update",
                          label(),
                          {},
                          {},
                          static_cast<int>(std::min(done, total))};
      }
    }
    for (done = 0; done < total; done++) {
      if (bpf_map_update_elem(fd(), keys.data + static_cast<size_t>(done) * spec_.key_size,
                              values.data + done * value_bytes_, options.elem_flags) != 0) {
        throw KernelError{errno, "bpf(BPF_MAP_UPDATE_ELEM)", "update", label(), {},
                          {},    static_cast<int>(done)};
      }
    }
    return Napi::Number::New(env, done);
  });
}

// (keys, count) -> elements deleted; keys that are absent are passed over.
Napi::Value BpfMap::DeleteBatch(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint32_t total = Uint32Arg(info[1]);
    Bytes keys = SizedArg(info[0], "keys", static_cast<size_t>(total) * spec_.key_size, label());
    uint32_t at = 0, deleted = 0;
    bool batch = true;
    while (at < total) {
      uint8_t* from = keys.data + static_cast<size_t>(at) * spec_.key_size;
      if (batch) {
        __u32 count = total - at;
        if (bpf_map_delete_batch(fd(), from, &count, nullptr) == 0) {
          deleted += count;
          break;
        }
        if (LacksBatch(errno)) {
          batch = false;
          continue;
        }
        if (errno != ENOENT) {
          throw KernelError{errno, "bpf(BPF_MAP_DELETE_BATCH)", "delete from", label(), {},
                            {},    static_cast<int>(deleted)};
        }
        deleted += count;
        at += count + 1;  // past the absent one
      } else {
        if (bpf_map_delete_elem(fd(), from) == 0) {
          deleted++;
        } else if (errno != ENOENT) {
          throw KernelError{errno, "bpf(BPF_MAP_DELETE_ELEM)", "delete from", label(), {},
                            {},    static_cast<int>(deleted)};
        }
        at++;
      }
    }
    return Napi::Number::New(env, deleted);
  });
}
