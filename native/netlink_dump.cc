#include "netlink_dump.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "errors.h"
#include "unique_fd.h"

uint32_t Attribute::u32(uint32_t otherwise) const {
  uint32_t value = otherwise;
  if (size >= sizeof value) memcpy(&value, data, sizeof value);
  return value;
}

std::string Attribute::text() const {
  const char* begin = static_cast<const char*>(data);
  return data == nullptr ? std::string() : std::string(begin, strnlen(begin, size));
}

Attribute FindAttribute(const void* data, size_t size, int type) {
  auto at = static_cast<const unsigned char*>(data);
  while (size >= sizeof(nlattr)) {
    nlattr head;
    memcpy(&head, at, sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > size) break;
    if ((head.nla_type & NLA_TYPE_MASK) == type) {
      return {at + NLA_HDRLEN, head.nla_len - static_cast<size_t>(NLA_HDRLEN)};
    }
    size_t step = NLA_ALIGN(static_cast<size_t>(head.nla_len));
    if (step > size) break;
    at += step;
    size -= step;
  }
  return {};
}

void NetlinkMessage::AddAttribute(uint16_t attribute, const void* data, size_t size) {
  nlattr head = {};
  head.nla_len = static_cast<__u16>(NLA_HDRLEN + size);
  head.nla_type = attribute;
  auto bytes = reinterpret_cast<const unsigned char*>(&head);
  body.insert(body.end(), bytes, bytes + sizeof head);
  auto value = static_cast<const unsigned char*>(data);
  body.insert(body.end(), value, value + size);
  body.resize(NLMSG_ALIGN(body.size()));
}

void NetlinkRequest(int protocol, const NetlinkMessage& message, const std::string& what,
                    const std::function<void(const unsigned char*, size_t)>& each) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) throw KernelError{errno, "socket(AF_NETLINK)", "list", what};
  nlmsghdr head = {};
  head.nlmsg_len = static_cast<__u32>(NLMSG_LENGTH(message.body.size()));
  head.nlmsg_type = message.type;
  head.nlmsg_flags = message.flags;
  std::vector<unsigned char> request(head.nlmsg_len);
  memcpy(request.data(), &head, sizeof head);
  if (!message.body.empty()) {
    memcpy(request.data() + NLMSG_HDRLEN, message.body.data(), message.body.size());
  }
  if (send(fd.get(), request.data(), request.size(), 0) < 0) {
    throw KernelError{errno, "send(AF_NETLINK)", "list", what};
  }
  const bool dump = (message.flags & NLM_F_DUMP) == NLM_F_DUMP;
  std::vector<unsigned char> buffer(64 * 1024);
  for (;;) {
    ssize_t received = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) throw KernelError{errno, "recv(AF_NETLINK)", "list", what};
    auto left = static_cast<size_t>(received);
    const unsigned char* at = buffer.data();
    while (left >= sizeof(nlmsghdr)) {
      nlmsghdr answer;
      memcpy(&answer, at, sizeof answer);
      if (answer.nlmsg_len < sizeof answer || answer.nlmsg_len > left) break;
      const unsigned char* body = at + NLMSG_HDRLEN;
      size_t size = answer.nlmsg_len - NLMSG_HDRLEN;
      if (answer.nlmsg_type == NLMSG_DONE) return;
      if (answer.nlmsg_type == NLMSG_ERROR) {
        int error = 0;
        if (size >= sizeof error) memcpy(&error, body, sizeof error);
        if (error != 0) throw KernelError{-error, "recv(AF_NETLINK)", "list", what};
        return;
      }
      each(body, size);
      if (!dump) return;
      size_t step = NLMSG_ALIGN(static_cast<size_t>(answer.nlmsg_len));
      if (step > left) break;
      at += step;
      left -= step;
    }
  }
}
