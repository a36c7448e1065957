#pragma once
#include <linux/netlink.h>
#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

// rtnetlink messages as plain values: parsed on any thread, turned into JavaScript objects later.

struct LinkRecord {
  uint32_t ifindex = 0, flags = 0, mtu = 0;
  uint8_t oper_state = 0;
  std::string name, kind, slave_kind, mac;
  std::optional<uint32_t> master, peer_ifindex;
  std::optional<int32_t> peer_netns_id;
};

struct AddressRecord {
  uint32_t ifindex = 0, flags = 0;
  uint8_t family = 0, prefix_length = 0, scope = 0;
  std::string address, peer, label;
};

struct NeighbourRecord {
  uint32_t ifindex = 0;
  uint16_t state = 0;
  uint8_t family = 0;
  std::string address, mac;
};

struct NextHop {
  uint32_t oif = 0;
  std::string gateway;
};

struct RouteRecord {
  uint8_t family = 0, prefix_length = 0, type = 0, scope = 0, protocol = 0;
  uint32_t table = 0, metric = 0;
  std::string dst, gateway, source;
  std::optional<uint32_t> oif;
  std::vector<NextHop> next_hops;
};

struct NetlinkRecord {
  bool deleted = false;
  std::variant<LinkRecord, AddressRecord, NeighbourRecord, RouteRecord> value;
};

// Nothing for messages that are none of the four kinds, and for those of other families: a bridge
// reports its ports by RTM_NEWLINK and RTM_DELLINK of AF_BRIDGE, which are no device events.
std::optional<NetlinkRecord> ParseNetlink(const nlmsghdr* message);

// With `event` ("link", "address", "neighbour", "route") and, where it applies, `deleted: true`.
Napi::Object NetlinkToJs(Napi::Env env, const NetlinkRecord& record);
