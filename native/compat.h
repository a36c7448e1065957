// Kernel constants and layouts newer than Debian 12's linux-libc-dev (6.1). Nothing else in native/
// spells a number from the kernel's interface.
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace compat {

// enum bpf_attach_type, Linux 6.6
constexpr __u32 kAttachTcxIngress = 46;
constexpr __u32 kAttachTcxEgress = 47;

// enum bpf_link_type, Linux 6.6
constexpr __u32 kLinkTypeTcx = 11;

// BPF_LINK_CREATE flags for multi-program hooks, Linux 6.6
constexpr __u32 kBefore = 1U << 3;
constexpr __u32 kAfter = 1U << 4;
constexpr __u32 kRelativeIsLink = 1U << 13;

// union bpf_attr as BPF_PROG_QUERY reads it, with the members of 6.6 for multi-program hooks
struct ProgQueryAttr {
  __u32 target;  // fd or ifindex
  __u32 attach_type;
  __u32 query_flags;
  __u32 attach_flags;
  __aligned_u64 prog_ids;
  __u32 count;
  __u32 pad;
  __aligned_u64 prog_attach_flags;
  __aligned_u64 link_ids;
  __aligned_u64 link_attach_flags;
  __u64 revision;
};
static_assert(offsetof(ProgQueryAttr, link_ids) == 40, "as in linux/bpf.h of 6.6");

// linux/netdev.h, Linux 6.3: generic netlink family "netdev"
constexpr __u8 kNetdevCmdDevGet = 1;
constexpr __u16 kNetdevAttrIfindex = 1;
constexpr int kNetdevAttrXdpFeatures = 3;

// errno values that the kernel returns although user space never got a name for them
constexpr int kEnotsupp = 524;

// union bpf_attr as BPF_LINK_CREATE reads it, with the tcx member
struct LinkCreateAttr {
  __u32 prog_fd;
  __u32 target;  // fd or ifindex
  __u32 attach_type;
  __u32 flags;
  __u32 relative_fd;
  __u32 pad;
  __u64 expected_revision;
};
static_assert(offsetof(LinkCreateAttr, relative_fd) == 16, "union is 8-byte aligned");
static_assert(offsetof(LinkCreateAttr, expected_revision) == 24, "as in linux/bpf.h of 6.6");

// struct bpf_link_info: the head that every type shares, then a union
struct LinkInfo {
  __u32 type;
  __u32 id;
  __u32 prog_id;
  __u32 pad;
  union {
    struct {
      __u32 ifindex;
      __u32 attach_type;
    } tcx;
    struct {
      __u32 ifindex;
    } xdp;
    struct {
      __u64 cgroup_id;
      __u32 attach_type;
    } cgroup;
    struct {
      __u32 netns_ino;
      __u32 attach_type;
    } netns;
    unsigned char room[112];  // the kernel writes at most what it knows
  };
};

inline int Bpf(int cmd, void* attr, size_t size) {
  return static_cast<int>(syscall(__NR_bpf, cmd, attr, size));
}

}  // namespace compat
