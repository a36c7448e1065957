#pragma once
#include <unistd.h>

#include <string>

#include "errors.h"

// Refuses a descriptor from bpffs that is not what the caller opened it as: "map", "program" or
// "link". The kernel answers the info call for all three with different structures, so a wrong
// guess would be read as nonsense.
inline void RequireFdKind(int fd, const std::string& wanted, const std::string& object) {
  char target[64] = {};
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (readlink(path.c_str(), target, sizeof target - 1) <= 0) return;  // no /proc: trust the caller
  std::string text = target, kind = "something else";
  if (text == "anon_inode:bpf-map") kind = "map";
  if (text == "anon_inode:bpf-prog") kind = "program";
  if (text == "anon_inode:bpf_link" || text == "anon_inode:bpf-link") kind = "link";
  if (kind != wanted) {
    throw KernelError{EINVAL, "bpf(BPF_OBJ_GET)", "open", object,
                      "it is a " + kind + ", no " + wanted};
  }
}
