#include "hook_query.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "args.h"
#include "compat.h"
#include "errors.h"
#include "netlink_dump.h"
#include "unique_fd.h"

namespace {

constexpr uint32_t kMostPrograms = 64;  // the kernel's own limit at both kinds of hook

struct ProgramIds {
  std::array<uint32_t, kMostPrograms> programs = {};
  std::array<uint32_t, kMostPrograms> links = {};
  uint32_t count = 0;
};

ProgramIds QueryPrograms(uint32_t target, uint32_t attach_type, bool with_links,
                         const std::string& where) {
  ProgramIds ids;
  compat::ProgQueryAttr attr = {};
  attr.target = target;
  attr.attach_type = attach_type;
  attr.prog_ids = reinterpret_cast<uintptr_t>(ids.programs.data());
  attr.count = kMostPrograms;
  if (with_links) attr.link_ids = reinterpret_cast<uintptr_t>(ids.links.data());
  // Kernels refuse bytes after the members that they know unless they are zero.
  if (compat::Bpf(BPF_PROG_QUERY, &attr, sizeof attr) != 0) {
    // Nothing was ever attached there.
    if (errno == ENOENT) return ids;
    throw KernelError{errno, "bpf(BPF_PROG_QUERY)", "list programs at", where};
  }
  ids.count = attr.count;
  return ids;
}

template <typename T>
void AppendHeader(NetlinkMessage& message, const T& header) {
  auto bytes = reinterpret_cast<const unsigned char*>(&header);
  message.body.assign(bytes, bytes + sizeof header);
  message.body.resize(NLMSG_ALIGN(message.body.size()));
}

struct Filter {
  std::string kind;
  uint32_t priority;
  uint32_t handle;
  uint32_t program_id;
  std::string name;
};

std::vector<Filter> DumpFilters(uint32_t ifindex, bool egress) {
  NetlinkMessage message;
  message.type = RTM_GETTFILTER;
  message.flags = NLM_F_REQUEST | NLM_F_DUMP;
  tcmsg header = {};
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
  AppendHeader(message, header);
  std::vector<Filter> filters;
  NetlinkRequest(NETLINK_ROUTE, message, "filters of ifindex " + std::to_string(ifindex),
                 [&](const unsigned char* body, size_t size) {
                   tcmsg found;
                   if (size < sizeof found) return;
                   memcpy(&found, body, sizeof found);
                   const unsigned char* attributes = body + NLMSG_ALIGN(sizeof found);
                   size_t room = size - NLMSG_ALIGN(sizeof found);
                   // One message per chain comes without options, handle 0.
                   if (found.tcm_handle == 0) return;
                   std::string kind = FindAttribute(attributes, room, TCA_KIND).text();
                   Attribute options = FindAttribute(attributes, room, TCA_OPTIONS);
                   // The numbers mean something else in filters of other kinds.
                   if (kind != "bpf") options = {};
                   Attribute name = FindAttribute(options.data, options.size, TCA_BPF_NAME);
                   Attribute id = FindAttribute(options.data, options.size, TCA_BPF_ID);
                   filters.push_back({kind, TC_H_MAJ(found.tcm_info) >> 16, found.tcm_handle,
                                      id.u32(), name.text()});
                 });
  return filters;
}

uint32_t GenericFamily(const char* name) {
  NetlinkMessage message;
  message.type = GENL_ID_CTRL;
  genlmsghdr header = {.cmd = CTRL_CMD_GETFAMILY, .version = 1};
  AppendHeader(message, header);
  message.AddAttribute(CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
  uint32_t family = 0;
  NetlinkRequest(NETLINK_GENERIC, message, std::string("netlink family ") + name,
                 [&](const unsigned char* body, size_t size) {
                   Attribute id =
                       FindAttribute(body + GENL_HDRLEN, size - GENL_HDRLEN, CTRL_ATTR_FAMILY_ID);
                   uint16_t number = 0;
                   if (id.size >= sizeof number) memcpy(&number, id.data, sizeof number);
                   family = number;
                 });
  return family;
}

}  // namespace

Napi::Value QueryTcx(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint32_t ifindex = Uint32Arg(info[0]);
    bool egress = info[1].ToBoolean();
    ProgramIds ids =
        QueryPrograms(ifindex, egress ? compat::kAttachTcxEgress : compat::kAttachTcxIngress, true,
                      "tcx of ifindex " + std::to_string(ifindex));
    Napi::Array out = Napi::Array::New(env, ids.count);
    for (uint32_t i = 0; i < ids.count; i++) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("progId", ids.programs[i]);
      entry.Set("linkId", ids.links[i]);
      out.Set(i, entry);
    }
    return out;
  });
}

Napi::Value QueryCgroup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    std::string path = StringArg(info[0], "cgroupPath");
    UniqueFd cgroup(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup) throw KernelError{errno, "open", "list programs at", "cgroup " + path};
    ProgramIds ids = QueryPrograms(static_cast<uint32_t>(cgroup.get()), Uint32Arg(info[1]), false,
                                   "cgroup " + path);
    Napi::Array out = Napi::Array::New(env, ids.count);
    for (uint32_t i = 0; i < ids.count; i++) out.Set(i, ids.programs[i]);
    return out;
  });
}

Napi::Value QueryXdp(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint32_t ifindex = Uint32Arg(info[0]);
    LIBBPF_OPTS(bpf_xdp_query_opts, options);
    LibbpfLog log;
    int result = bpf_xdp_query(static_cast<int>(ifindex), 0, &options);
    if (result != 0) {
      throw KernelError{-result, "bpf_xdp_query", "list programs at",
                        "xdp of ifindex " + std::to_string(ifindex), log.Messages()};
    }
    Napi::Object out = Napi::Object::New(env);
    out.Set("native", options.drv_prog_id);
    out.Set("generic", options.skb_prog_id);
    out.Set("hardware", options.hw_prog_id);
    return out;
  });
}

Napi::Value QueryFilters(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    std::vector<Filter> filters = DumpFilters(Uint32Arg(info[0]), info[1].ToBoolean());
    Napi::Array out = Napi::Array::New(env, filters.size());
    for (uint32_t i = 0; i < filters.size(); i++) {
      const Filter& filter = filters[i];
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("kind", filter.kind);
      entry.Set("priority", filter.priority);
      entry.Set("handle", filter.handle);
      if (filter.program_id != 0) entry.Set("progId", filter.program_id);
      if (!filter.name.empty()) entry.Set("name", filter.name);
      out.Set(i, entry);
    }
    return out;
  });
}

Napi::Value XdpFeatures(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    uint64_t features = 0;
    bool known = false;
    try {
      NetlinkMessage message;
      message.type = static_cast<uint16_t>(GenericFamily("netdev"));
      genlmsghdr header = {.cmd = compat::kNetdevCmdDevGet, .version = 1};
      AppendHeader(message, header);
      uint32_t ifindex = Uint32Arg(info[0]);
      message.AddAttribute(compat::kNetdevAttrIfindex, &ifindex, sizeof ifindex);
      NetlinkRequest(NETLINK_GENERIC, message, "XDP features of ifindex " + std::to_string(ifindex),
                     [&](const unsigned char* body, size_t size) {
                       Attribute value = FindAttribute(body + GENL_HDRLEN, size - GENL_HDRLEN,
                                                       compat::kNetdevAttrXdpFeatures);
                       known = value.size >= sizeof features;
                       if (known) memcpy(&features, value.data, sizeof features);
                     });
    } catch (const KernelError& error) {
      // ENOENT: the kernel has no such family.
      if (error.err != ENOENT) throw;
    }
    return known ? Napi::Number::New(env, static_cast<double>(features)) : env.Undefined();
  });
}

Napi::Value NftChains(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    NetlinkMessage message;
    message.type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN;
    message.flags = NLM_F_REQUEST | NLM_F_DUMP;
    nfgenmsg header = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
    AppendHeader(message, header);
    Napi::Array out = Napi::Array::New(env);
    uint32_t count = 0;
    NetlinkRequest(
        NETLINK_NETFILTER, message, "nf_tables chains",
        [&](const unsigned char* body, size_t size) {
          size_t skip = NLMSG_ALIGN(sizeof(nfgenmsg));
          if (size < skip) return;
          Napi::Object entry = Napi::Object::New(env);
          entry.Set("family", static_cast<uint32_t>(body[0]));
          entry.Set("table", FindAttribute(body + skip, size - skip, NFTA_CHAIN_TABLE).text());
          entry.Set("name", FindAttribute(body + skip, size - skip, NFTA_CHAIN_NAME).text());
          out.Set(count++, entry);
        });
    return out;
  });
}
