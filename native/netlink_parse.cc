#include "netlink_parse.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace {

// Attributes of one message by type; the last of a type wins.
class Attributes {
 public:
  Attributes(const rtattr* first, size_t length) {
    for (const rtattr* a = first; RTA_OK(a, length); a = RTA_NEXT(a, length)) {
      unsigned short type = a->rta_type & NLA_TYPE_MASK;
      if (type < by_type_.size()) by_type_[type] = a;
    }
  }
  const rtattr* get(unsigned short type) const { return by_type_[type]; }
  bool has(unsigned short type) const { return by_type_[type] != nullptr; }
  size_t size(unsigned short type) const { return RTA_PAYLOAD(by_type_[type]); }
  const void* data(unsigned short type) const { return RTA_DATA(by_type_[type]); }

  std::optional<uint32_t> U32(unsigned short type) const {
    if (!has(type) || size(type) < 4) return std::nullopt;
    uint32_t value;
    memcpy(&value, data(type), sizeof value);
    return value;
  }
  std::string Text(unsigned short type) const {
    if (!has(type)) return {};
    auto* text = static_cast<const char*>(data(type));
    return std::string(text, strnlen(text, size(type)));
  }
  std::string Address(int family, unsigned short type) const {
    size_t wanted = family == AF_INET ? 4 : 16;
    if (!has(type) || size(type) < wanted) return {};
    char text[INET6_ADDRSTRLEN];
    return inet_ntop(family, data(type), text, sizeof text) != nullptr ? text : "";
  }
  std::string Mac(unsigned short type) const {
    if (!has(type)) return {};
    auto* bytes = static_cast<const uint8_t*>(data(type));
    std::string out;
    for (size_t i = 0; i < size(type); i++) {
      static constexpr char kHex[] = "0123456789abcdef";
      if (i > 0) out += ':';
      out += kHex[bytes[i] >> 4];
      out += kHex[bytes[i] & 15];
    }
    return out;
  }

 private:
  std::array<const rtattr*, 128> by_type_{};
};

template <typename Header>
const Header* HeaderOf(const nlmsghdr* message) {
  return message->nlmsg_len >= NLMSG_LENGTH(sizeof(Header))
             ? static_cast<const Header*>(NLMSG_DATA(message))
             : nullptr;
}

template <typename Header>
Attributes AttributesOf(const nlmsghdr* message) {
  auto* first = reinterpret_cast<const rtattr*>(static_cast<const char*>(NLMSG_DATA(message)) +
                                                NLMSG_ALIGN(sizeof(Header)));
  size_t before = NLMSG_SPACE(sizeof(Header));
  return {first, message->nlmsg_len > before ? message->nlmsg_len - before : 0};
}

bool IsIp(uint8_t family) {
  return family == AF_INET || family == AF_INET6;
}

std::optional<LinkRecord> ParseLink(const nlmsghdr* message) {
  auto* header = HeaderOf<ifinfomsg>(message);
  if (header == nullptr || header->ifi_family != AF_UNSPEC) return std::nullopt;
  Attributes attributes = AttributesOf<ifinfomsg>(message);
  LinkRecord link;
  link.ifindex = static_cast<uint32_t>(header->ifi_index);
  link.flags = header->ifi_flags;
  link.mtu = attributes.U32(IFLA_MTU).value_or(0);
  link.name = attributes.Text(IFLA_IFNAME);
  link.mac = attributes.Mac(IFLA_ADDRESS);
  link.master = attributes.U32(IFLA_MASTER);
  link.peer_ifindex = attributes.U32(IFLA_LINK);
  if (auto id = attributes.U32(IFLA_LINK_NETNSID)) link.peer_netns_id = static_cast<int32_t>(*id);
  if (attributes.has(IFLA_OPERSTATE) && attributes.size(IFLA_OPERSTATE) >= 1) {
    link.oper_state = *static_cast<const uint8_t*>(attributes.data(IFLA_OPERSTATE));
  }
  if (attributes.has(IFLA_LINKINFO)) {
    Attributes info(static_cast<const rtattr*>(attributes.data(IFLA_LINKINFO)),
                    attributes.size(IFLA_LINKINFO));
    link.kind = info.Text(IFLA_INFO_KIND);
    link.slave_kind = info.Text(IFLA_INFO_SLAVE_KIND);
  }
  return link;
}

std::optional<AddressRecord> ParseAddress(const nlmsghdr* message) {
  auto* header = HeaderOf<ifaddrmsg>(message);
  if (header == nullptr || !IsIp(header->ifa_family)) return std::nullopt;
  Attributes attributes = AttributesOf<ifaddrmsg>(message);
  AddressRecord record;
  record.ifindex = header->ifa_index;
  record.family = header->ifa_family;
  record.prefix_length = header->ifa_prefixlen;
  record.scope = header->ifa_scope;
  record.flags = attributes.U32(IFA_FLAGS).value_or(header->ifa_flags);
  // On a point-to-point device IFA_ADDRESS is the other end and IFA_LOCAL this one.
  std::string address = attributes.Address(header->ifa_family, IFA_ADDRESS);
  std::string local = attributes.Address(header->ifa_family, IFA_LOCAL);
  record.address = local.empty() ? address : local;
  if (!local.empty() && local != address) record.peer = address;
  record.label = attributes.Text(IFA_LABEL);
  return record;
}

std::optional<NeighbourRecord> ParseNeighbour(const nlmsghdr* message) {
  auto* header = HeaderOf<ndmsg>(message);
  if (header == nullptr || !IsIp(header->ndm_family)) return std::nullopt;
  Attributes attributes = AttributesOf<ndmsg>(message);
  NeighbourRecord record;
  record.ifindex = static_cast<uint32_t>(header->ndm_ifindex);
  record.family = header->ndm_family;
  record.state = header->ndm_state;
  record.address = attributes.Address(header->ndm_family, NDA_DST);
  record.mac = attributes.Mac(NDA_LLADDR);
  return record;
}

// RTA_VIA: a next hop of another family than the route (IPv4 over an IPv6 router).
std::string Via(const Attributes& attributes) {
  if (!attributes.has(RTA_VIA) || attributes.size(RTA_VIA) < sizeof(rtvia)) return {};
  auto* via = static_cast<const rtvia*>(attributes.data(RTA_VIA));
  size_t size = attributes.size(RTA_VIA) - sizeof(rtvia);
  if (!IsIp(static_cast<uint8_t>(via->rtvia_family)) ||
      size < (via->rtvia_family == AF_INET ? 4U : 16U)) {
    return {};
  }
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(via->rtvia_family, via->rtvia_addr, text, sizeof text) != nullptr ? text : "";
}

std::string GatewayOf(const Attributes& attributes, uint8_t family) {
  std::string gateway = attributes.Address(family, RTA_GATEWAY);
  return gateway.empty() ? Via(attributes) : gateway;
}

std::vector<NextHop> NextHops(const Attributes& attributes, uint8_t family) {
  std::vector<NextHop> out;
  if (!attributes.has(RTA_MULTIPATH)) return out;
  auto* hop = static_cast<const rtnexthop*>(attributes.data(RTA_MULTIPATH));
  auto left = static_cast<int>(attributes.size(RTA_MULTIPATH));
  while (left >= static_cast<int>(sizeof *hop) && RTNH_OK(hop, left)) {
    Attributes inner(RTNH_DATA(hop), hop->rtnh_len - sizeof *hop);
    out.push_back({static_cast<uint32_t>(hop->rtnh_ifindex), GatewayOf(inner, family)});
    left -= RTNH_ALIGN(hop->rtnh_len);
    hop = RTNH_NEXT(hop);
  }
  return out;
}

std::optional<RouteRecord> ParseRoute(const nlmsghdr* message) {
  auto* header = HeaderOf<rtmsg>(message);
  // Cloned routes are cache entries (path MTU and the like), not configuration.
  if (header == nullptr || !IsIp(header->rtm_family) || (header->rtm_flags & RTM_F_CLONED)) {
    return std::nullopt;
  }
  Attributes attributes = AttributesOf<rtmsg>(message);
  RouteRecord route;
  route.family = header->rtm_family;
  route.prefix_length = header->rtm_dst_len;
  route.type = header->rtm_type;
  route.scope = header->rtm_scope;
  route.protocol = header->rtm_protocol;
  route.table = attributes.U32(RTA_TABLE).value_or(header->rtm_table);
  route.metric = attributes.U32(RTA_PRIORITY).value_or(0);
  route.dst = attributes.Address(route.family, RTA_DST);
  route.gateway = GatewayOf(attributes, route.family);
  route.source = attributes.Address(route.family, RTA_PREFSRC);
  route.oif = attributes.U32(RTA_OIF);
  route.next_hops = NextHops(attributes, route.family);
  return route;
}

template <typename Record>
std::optional<NetlinkRecord> Wrap(std::optional<Record> record, bool deleted) {
  if (!record) return std::nullopt;
  return NetlinkRecord{deleted, std::move(*record)};
}

int FamilyNumber(uint8_t family) {
  return family == AF_INET ? 4 : 6;
}

void SetText(Napi::Object& out, const char* key, const std::string& text) {
  if (!text.empty()) out.Set(key, text);
}

struct Filler {
  Napi::Env env;
  Napi::Object& out;

  void operator()(const LinkRecord& link) {
    out.Set("event", "link");
    out.Set("ifindex", link.ifindex);
    out.Set("name", link.name);
    SetText(out, "kind", link.kind);
    SetText(out, "slaveKind", link.slave_kind);
    out.Set("flags", link.flags);
    out.Set("up", (link.flags & IFF_UP) != 0);
    out.Set("operState", link.oper_state);
    out.Set("mtu", link.mtu);
    out.Set("mac", link.mac);
    if (link.master) out.Set("master", *link.master);
    if (link.peer_ifindex) out.Set("peerIfindex", *link.peer_ifindex);
    if (link.peer_netns_id) out.Set("peerNetnsId", *link.peer_netns_id);
  }
  void operator()(const AddressRecord& record) {
    out.Set("event", "address");
    out.Set("ifindex", record.ifindex);
    out.Set("family", FamilyNumber(record.family));
    out.Set("address", record.address);
    SetText(out, "peer", record.peer);
    SetText(out, "label", record.label);
    out.Set("prefixLength", record.prefix_length);
    out.Set("scope", record.scope);
    out.Set("flags", record.flags);
  }
  void operator()(const NeighbourRecord& record) {
    out.Set("event", "neighbour");
    out.Set("ifindex", record.ifindex);
    out.Set("family", FamilyNumber(record.family));
    out.Set("address", record.address);
    SetText(out, "mac", record.mac);
    out.Set("state", record.state);
  }
  void operator()(const RouteRecord& route) {
    out.Set("event", "route");
    out.Set("family", FamilyNumber(route.family));
    SetText(out, "dst", route.dst);
    out.Set("prefixLength", route.prefix_length);
    if (route.oif) out.Set("oif", *route.oif);
    SetText(out, "gateway", route.gateway);
    SetText(out, "source", route.source);
    if (!route.next_hops.empty()) {
      Napi::Array hops = Napi::Array::New(env);
      for (const NextHop& hop : route.next_hops) {
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("oif", hop.oif);
        SetText(entry, "gateway", hop.gateway);
        hops.Set(hops.Length(), entry);
      }
      out.Set("nextHops", hops);
    }
    out.Set("table", route.table);
    out.Set("type", route.type);
    out.Set("scope", route.scope);
    out.Set("protocol", route.protocol);
    out.Set("metric", route.metric);
  }
};

}  // namespace

std::optional<NetlinkRecord> ParseNetlink(const nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return Wrap(ParseLink(message), message->nlmsg_type == RTM_DELLINK);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return Wrap(ParseAddress(message), message->nlmsg_type == RTM_DELADDR);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return Wrap(ParseNeighbour(message), message->nlmsg_type == RTM_DELNEIGH);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return Wrap(ParseRoute(message), message->nlmsg_type == RTM_DELROUTE);
    default:
      return std::nullopt;
  }
}

Napi::Object NetlinkToJs(Napi::Env env, const NetlinkRecord& record) {
  Napi::Object out = Napi::Object::New(env);
  std::visit(Filler{env, out}, record.value);
  if (record.deleted) out.Set("deleted", true);
  return out;
}
