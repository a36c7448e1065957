/*
 * podserver --name NAME [--http PORT]... [--sctp PORT]... [--udp PORT]... [--bind ADDRESS]
 *
 * Answers every HTTP request (--sctp: over SCTP) and every datagram with one JSON line: who the
 * server is, whom it sees, and which address of its own was used. Without --bind one IPv6 wildcard
 * socket per port serves both families. Prints {"event":"ready"} when all sockets listen.
 *
 *   GET /            the JSON line
 *   POST /hash       {"length":n,"hash":"16 hex digits"} of the body (FNV-1a 64)
 *   GET /bytes?n=N   N bytes of the deterministic stream
 *   UDP              the JSON line with length and hash of the datagram; "pad=N " at the start of
 * the datagram pads the answer with spaces to N bytes
 */
#include "podserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

const char *server_name;
int epoll_fd;

#define MAX_DATAGRAM 65507

size_t describe_peer(char *out, size_t room, const union sockaddr_any *peer,
		     const union sockaddr_any *local, const char *extra)
{
	char from[ADDRESS_TEXT], here[ADDRESS_TEXT];

	format_address(peer, from);
	format_address(local, here);
	return snprintf(out, room,
			"{\"server\":\"%.60s\",\"peer\":\"%s\",\"peerPort\":%u,\"local\":\"%s\","
			"\"localPort\":%u%s}\n",
			server_name, from, address_port(peer), here, address_port(local), extra);
}

static int listen_on(int type, int protocol, const union sockaddr_any *bind_to, uint16_t port)
{
	union sockaddr_any a = {0};
	int one = 1, zero = 0;

	if (bind_to)
		a = *bind_to;
	else
		a.v6.sin6_family = AF_INET6;
	int fd = socket(a.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (fd < 0 && !bind_to && errno == EAFNOSUPPORT) {
		a.v4.sin_family = AF_INET;
		fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	}
	if (fd < 0)
		die("open a socket: %s", strerror(errno));
	set_port(&a, port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a.sa.sa_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	} else {
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	}
	if (bind(fd, &a.sa, address_length(&a)))
		die("bind port %u: %s", port, strerror(errno));
	if (type == SOCK_STREAM && listen(fd, 4096))
		die("listen on port %u: %s", port, strerror(errno));
	return fd;
}

static void watch(enum source_kind kind, int fd)
{
	struct source *s = calloc(1, sizeof(*s));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};

	if (!s)
		die("out of memory");
	s->kind = kind;
	s->fd = fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		die("watch a socket: %s", strerror(errno));
}

/* The address that the datagram was sent to, out of its control message. */
static union sockaddr_any local_address(struct msghdr *message, int fd)
{
	union sockaddr_any local = {0};
	socklen_t length = sizeof(local);

	getsockname(fd, &local.sa, &length);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

			local.v6.sin6_addr = info->ipi6_addr;
			info->ipi6_ifindex =
			    0; /* the answer takes the route, not the device it came from */
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

			local.v4.sin_addr = info->ipi_addr;
			info->ipi_spec_dst = info->ipi_addr;
			info->ipi_ifindex = 0;
		}
	}
	return local;
}

static size_t pad_answer(const uint8_t *data, size_t n, char *answer, size_t length)
{
	if (n < 5 || memcmp(data, "pad=", 4))
		return length;
	size_t want = strtoul((const char *)data + 4, NULL, 10);
	if (want > MAX_DATAGRAM)
		want = MAX_DATAGRAM;
	if (want > length) {
		memset(answer + length, ' ', want - length);
		length = want;
	}
	return length;
}

static void answer_datagrams(int fd)
{
	static uint8_t data[MAX_DATAGRAM + 1];
	static char answer[MAX_DATAGRAM + 1];

	for (int i = 0; i < 64; i++) {
		union sockaddr_any peer;
		char control[128], extra[64];
		struct iovec part = {data, MAX_DATAGRAM};
		struct msghdr message = {.msg_name = &peer,
					 .msg_namelen = sizeof(peer),
					 .msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &message, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			continue; /* the ICMP error of an earlier answer */
		data[n] = 0;
		union sockaddr_any local = local_address(&message, fd);
		snprintf(extra, sizeof(extra), ",\"length\":%zd,\"hash\":\"%016llx\"", n,
			 (unsigned long long)hash_bytes(HASH_START, data, n));
		part.iov_base = answer;
		part.iov_len = describe_peer(answer, sizeof(answer), &peer, &local, extra);
		part.iov_len = pad_answer(data, n, answer, part.iov_len);
		sendmsg(fd, &message, MSG_DONTWAIT);
	}
}

static void serve(void)
{
	struct epoll_event events[256];

	while (!stop_requested) {
		int n = epoll_wait(epoll_fd, events, 256, -1);

		/* Accept last: a connection closed in this round frees its number before a new one
		 * takes it. */
		for (int i = 0; i < n; i++) {
			struct source *s = events[i].data.ptr;

			if (s->kind == SOURCE_HTTP_CONNECTION)
				http_serve(s, events[i].events);
			else if (s->kind == SOURCE_UDP)
				answer_datagrams(s->fd);
			else
				http_accept(s->fd);
		}
	}
}

int main(int argc, char **argv)
{
	const union sockaddr_any *bind_to = NULL;
	union sockaddr_any bind_address;
	int sockets = 0;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 1; i < argc; i += 2) {
			const char *flag = argv[i], *value = argv[i + 1];

			if (!value)
				die("%s needs a value", flag);
			if (!strcmp(flag, "--name")) {
				server_name = value;
			} else if (!strcmp(flag, "--bind")) {
				bind_address = parse_address(value);
				bind_to = &bind_address;
			} else if (!strcmp(flag, "--http") || !strcmp(flag, "--sctp") ||
				   !strcmp(flag, "--udp")) {
				uint16_t port = parse_number(value, "port", 1, 65535);
				bool http = strcmp(flag, "--udp");
				int protocol = !strcmp(flag, "--sctp") ? IPPROTO_SCTP : 0;

				if (pass == 0)
					continue; /* --bind may come later on the command line */
				watch(http ? SOURCE_HTTP_LISTENER : SOURCE_UDP,
				      listen_on(http ? SOCK_STREAM : SOCK_DGRAM, protocol, bind_to,
						port));
				sockets++;
			} else {
				die("unknown flag %s", flag);
			}
		}
	}
	if (!server_name || !sockets)
		die("needs --name and at least one of --http, --sctp, --udp");
	catch_stop();
	printf("{\"event\":\"ready\",\"server\":\"%s\",\"sockets\":%d}\n", server_name, sockets);
	fflush(stdout);
	serve();
	return 0;
}
