#include "features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "args.h"
#include "compat.h"
#include "errors.h"
#include "unique_fd.h"

namespace {

// r0 = 0; exit
UniqueFd TrivialProgram(bpf_prog_type type,
                        bpf_attach_type expected = static_cast<bpf_attach_type>(0)) {
  bpf_insn instructions[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT},
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = expected);
  return UniqueFd(bpf_prog_load(type, "probe", "GPL", instructions, 2, &options));
}

UniqueFd SmallMap(bpf_map_type type, __u32 flags) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  return UniqueFd(bpf_map_create(type, "probe", 4, 4, 1, &options));
}

bool HasBatch() {
  UniqueFd map = SmallMap(BPF_MAP_TYPE_HASH, 0);
  __u32 key = 0, value = 0, cursor = 0, count = 1;
  if (!map) return false;
  return bpf_map_lookup_batch(map.get(), nullptr, &cursor, &key, &value, &count, nullptr) == 0 ||
         errno == ENOENT;
}

bool HasMmapArray() {
  UniqueFd map = SmallMap(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE);
  if (!map) return false;
  void* memory = mmap(nullptr, 8, PROT_READ | PROT_WRITE, MAP_SHARED, map.get(), 0);
  if (memory == MAP_FAILED) return false;
  munmap(memory, 8);
  return true;
}

// With tcx the missing device is what is wrong; without, the attach type is.
bool HasTcx() {
  UniqueFd program = TrivialProgram(BPF_PROG_TYPE_SCHED_CLS);
  if (!program) return false;
  compat::LinkCreateAttr attr = {};
  attr.prog_fd = static_cast<__u32>(program.get());
  attr.target = INT_MAX;
  attr.attach_type = compat::kAttachTcxIngress;
  UniqueFd link(compat::Bpf(BPF_LINK_CREATE, &attr, sizeof attr));
  return !link && errno == ENODEV;
}

// With cgroup links the missing cgroup is what is wrong.
bool HasCgroupLink() {
  UniqueFd program = TrivialProgram(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT);
  if (!program) return false;
  compat::LinkCreateAttr attr = {};
  attr.prog_fd = static_cast<__u32>(program.get());
  attr.target = static_cast<__u32>(-1);
  attr.attach_type = BPF_CGROUP_INET4_CONNECT;
  UniqueFd link(compat::Bpf(BPF_LINK_CREATE, &attr, sizeof attr));
  return !link && errno == EBADF;
}

bool HasTestRun(bpf_prog_type type) {
  UniqueFd program = TrivialProgram(type);
  if (!program) return false;
  unsigned char frame[64] = {};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof frame,
              .repeat = 1);
  return bpf_prog_test_run_opts(program.get(), &options) == 0;
}

bool HasMembarrier() {
  long commands = syscall(__NR_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL) != 0;
}

bool HasNetnsCookie() {
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return fd && getsockopt(fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0;
}

}  // namespace

Napi::Value ProbeFeatures(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  LibbpfLog log;
  Napi::Object out = Napi::Object::New(env);
  UniqueFd map = SmallMap(BPF_MAP_TYPE_ARRAY, 0);
  out.Set("permitted", static_cast<bool>(map) || (errno != EPERM && errno != EACCES));
  out.Set("programs", static_cast<bool>(TrivialProgram(BPF_PROG_TYPE_SCHED_CLS)));
  out.Set("tcx", HasTcx());
  out.Set("cgroupLink", HasCgroupLink());
  out.Set("ringbuf", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, nullptr) == 1);
  out.Set("lruHash", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_LRU_HASH, nullptr) == 1);
  out.Set("lpmTrie", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_LPM_TRIE, nullptr) == 1);
  out.Set("devmapHash", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_DEVMAP_HASH, nullptr) == 1);
  out.Set("batch", HasBatch());
  out.Set("mmapArray", HasMmapArray());
  out.Set("testRunTc", HasTestRun(BPF_PROG_TYPE_SCHED_CLS));
  out.Set("testRunXdp", HasTestRun(BPF_PROG_TYPE_XDP));
  out.Set("membarrier", HasMembarrier());
  out.Set("netnsCookie", HasNetnsCookie());
  out.Set("libbpf", std::string(libbpf_version_string()));
  return out;
}

// Not libbpf's probe: 1.1 does not know the words with which later kernels refuse a helper.
Napi::Value ProbeHelper(const Napi::CallbackInfo& info) {
  auto type = static_cast<bpf_prog_type>(Uint32Arg(info[0]));
  auto helper = static_cast<int>(Uint32Arg(info[1]));
  // call helper; r0 = 1; exit
  bpf_insn instructions[] = {
      {.code = BPF_JMP | BPF_CALL, .imm = helper},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT},
  };
  char log[4096] = {};
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.log_buf = log;
  options.log_size = sizeof log;
  options.log_level = 1;
  if (type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR)
    options.expected_attach_type = BPF_CGROUP_INET4_CONNECT;
  UniqueFd program(bpf_prog_load(type, "probe", "GPL", instructions, 3, &options));
  if (program) return Napi::Boolean::New(info.Env(), true);
  // Any other complaint is about arguments: the verifier got past the helper's name.
  bool unknown = errno == EPERM || log[0] == '\0' || strstr(log, "unknown func ") != nullptr ||
                 strstr(log, "invalid func ") != nullptr ||
                 strstr(log, "cannot use helper") != nullptr;
  return Napi::Boolean::New(info.Env(), !unknown);
}
