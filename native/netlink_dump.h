#pragma once
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// One attribute of a netlink message; `data` points into the message.
struct Attribute {
  const void* data = nullptr;
  size_t size = 0;

  explicit operator bool() const { return data != nullptr; }
  uint32_t u32(uint32_t otherwise = 0) const;
  std::string text() const;  // without the terminating zero
};

// The attribute of this type among those at `data`; empty when absent.
Attribute FindAttribute(const void* data, size_t size, int type);

struct NetlinkMessage {
  uint16_t type = 0;
  uint16_t flags = NLM_F_REQUEST;
  std::vector<unsigned char> body;  // fixed header and attributes

  void AddAttribute(uint16_t attribute, const void* data, size_t size);
};

// Sends one request over a socket of its own and hands every message of the answer to `each` (body
// without nlmsghdr). Throws KernelError with the kernel's errno.
void NetlinkRequest(int protocol, const NetlinkMessage& message, const std::string& what,
                    const std::function<void(const unsigned char* body, size_t size)>& each);
