/* ICMP and ICMPv6 echo. The reply must carry our id, sequence number and payload; the kernel has
 * checked its checksum. */
#include "puppet.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static uint16_t checksum(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

void ping(const char *to_text, size_t size, uint64_t timeout_ms)
{
	static uint8_t request[65536], answer[65536];
	static uint16_t sequence;
	union sockaddr_any to = parse_address(to_text), from;
	bool is_v4 = to.sa.sa_family == AF_INET;
	/* Type, code, checksum, id and sequence number are alike in both. */
	struct icmphdr *header = (struct icmphdr *)request;
	uint64_t end = now_ns() + timeout_ms * 1000000ULL;
	char text[ADDRESS_TEXT];
	int fd =
	    socket(to.sa.sa_family, SOCK_RAW | SOCK_CLOEXEC, is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	if (fd < 0)
		return say_error(errno);
	fill_stream(request, size, 0);
	memset(header, 0, sizeof(*header));
	header->type = is_v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	header->un.echo.id = getpid() & 0xffff;
	header->un.echo.sequence = ++sequence;
	if (is_v4)
		header->checksum = checksum(request, size);
	if (sendto(fd, request, size, 0, &to.sa, address_length(&to)) < 0) {
		say_error(errno);
		close(fd);
		return;
	}
	for (;;) {
		uint64_t now = now_ns();
		socklen_t length = sizeof(from);

		if (now >= end || !wait_for(fd, POLLIN, (end - now) / 1000000 + 1)) {
			say_error(ETIMEDOUT);
			break;
		}
		ssize_t n = recvfrom(fd, answer, sizeof(answer), MSG_DONTWAIT, &from.sa, &length);
		size_t skip = is_v4 ? ((struct iphdr *)answer)->ihl * 4 : 0;
		struct icmphdr *reply = (struct icmphdr *)(answer + skip);

		if (n < 0 || (size_t)n != size + skip ||
		    reply->type != (is_v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) ||
		    memcmp(answer + skip + 4, request + 4, size - 4))
			continue;
		set_port(&from, 0);
		format_address(&from, text);
		printf("{\"from\":\"%s\"}\n", text);
		break;
	}
	close(fd);
}
