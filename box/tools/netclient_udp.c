/* Datagrams one after another: send, wait for the answer, check where it came from. */
#include "netclient.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_DATAGRAM 65535

static int open_udp(const struct options *o)
{
	int one = 1, fd = open_socket(SOCK_DGRAM, 0, &o->to, o->source, o->source_port);

	if (fd < 0)
		return fd;
	/* Without it an unconnected socket never hears of a port unreachable. */
	if (o->to.sa.sa_family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one));
	if (o->connected && connect(fd, &o->to.sa, address_length(&o->to))) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

/* Pending ICMP errors are told once by SO_ERROR and again by the error queue; take both away. */
static int take_error(int fd)
{
	char data[512], control[512];
	struct iovec part = {data, sizeof(data)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	while (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
		message.msg_controllen = sizeof(control);
	return error;
}

static int send_one(const struct options *o, int fd, uint64_t number)
{
	static uint8_t data[MAX_DATAGRAM];
	char head[64];
	/* The answer of an earlier datagram is told apart by its length and hash. */
	int used =
	    snprintf(head, sizeof(head), "%.40s %llu ",
		     !strncmp(o->path, "pad=", 4) ? o->path : "ask", (unsigned long long)number);
	size_t length = o->size > (size_t)used ? o->size : (size_t)used;
	ssize_t sent;

	fill_stream(data, length, 0);
	memcpy(data, head, used);
	if (o->connected)
		sent = send(fd, data, length, MSG_NOSIGNAL);
	else
		sent = sendto(fd, data, length, MSG_NOSIGNAL, &o->to.sa, address_length(&o->to));
	if (sent < 0)
		return errno;
	return 0;
}

/* 0 or an error; the answer is zero terminated and came from `from`. */
static int receive_one(const struct options *o, int fd, char *answer, size_t room,
		       union sockaddr_any *from)
{
	uint64_t end = now_ns() + o->timeout_ms * 1000000ULL;

	for (;;) {
		uint64_t now = now_ns();
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (now >= end)
			return ETIMEDOUT;
		/* Told to stop, it still takes the answer to what it has sent: that is no failure.
		 */
		if (poll(&p, 1, (end - now) / 1000000 + 1) < 0)
			continue;
		if (p.revents & POLLERR) {
			int error = take_error(fd);

			if (error)
				return error;
		}
		socklen_t length = sizeof(*from);
		ssize_t n = recvfrom(fd, answer, room - 1, MSG_DONTWAIT, &from->sa, &length);
		if (n >= 0) {
			answer[n] = 0;
			return 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return errno;
	}
}

/* Late answers must not be taken for the next one. */
static void drain(int fd)
{
	char data[64];

	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) >= 0)
		;
}

static void ask(const struct options *o, struct report *r, int fd, uint64_t number)
{
	static char answer[MAX_DATAGRAM + 1];
	union sockaddr_any from = {0};
	char text[ADDRESS_TEXT];
	uint64_t start = now_ns();

	drain(fd);
	int error = send_one(o, fd, number);
	const char *phase = error ? "send" : "receive";
	if (!error)
		error = receive_one(o, fd, answer, sizeof(answer), &from);
	if (error) {
		note_failure(r, error, phase, now_ns() - start);
		return;
	}
	note_success(r, answer, now_ns() - start);
	format_endpoint(&from, text);
	count_key(&r->peer_names, text);
}

int run_udp(const struct options *o)
{
	struct report r = {.start_ns = now_ns()};
	uint64_t end = run_end(o, r.start_ns);
	int fd = -1;

	if (o->seconds)
		print_started();
	for (uint64_t i = 0; run_goes_on(o, i, end); i++) {
		if (fd < 0)
			fd = open_udp(o);
		if (fd < 0) {
			note_failure(&r, -fd, "open", 0);
			continue;
		}
		ask(o, &r, fd, i);
		if (!o->one_socket) {
			close(fd);
			fd = -1;
		}
	}
	print_report("udp", &r);
	return 0;
}
