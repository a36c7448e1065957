/*
 * puppet: reads commands from stdin, one per line, and answers each with one line of JSON. For
 * cases in which the order of a few socket calls matters. "-" as SOURCE is any, as TO the socket's
 * peer.
 *
 *   tcp ID SOURCE PORT TO MS        connect; PORT 0: any
 *   udp ID SOURCE PORT 4|6 [df]     bind; df: never fragment (IP_PMTUDISC_DO)
 *   listen ID PORT; accept ID NEW MS
 *   peer ID TO                      connect a UDP socket
 *   get ID MS                       HTTP request on a connection: the server's line
 *   ask ID TO SIZE PAD MS           datagram, then its answer: the server's line, length, source
 *   send ID TO SIZE; recv ID MS     length, or eof
 *   shutdown ID; close ID; rst ID   FIN; close; close by reset
 *   mtu ID                          path MTU that the kernel has learned
 *   ping TO SIZE MS                 ICMP echo
 */
#include "puppet.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SOCKETS 64
#define MAX_WORDS   8

static struct {
	char id[32];
	int fd;
	int family;
	bool used;
} sockets[MAX_SOCKETS];

static uint8_t data[MAX_DATAGRAM + 1];

void say_error(int error)
{
	printf("{\"error\":\"%s\"}\n", error_name(error));
}

bool wait_for(int fd, short events, uint64_t timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, timeout_ms) > 0;
}

static void keep(const char *id, int fd, int family)
{
	for (int i = 0; i < MAX_SOCKETS; i++) {
		if (sockets[i].used)
			continue;
		snprintf(sockets[i].id, sizeof(sockets[i].id), "%s", id);
		sockets[i].fd = fd;
		sockets[i].family = family;
		sockets[i].used = true;
		return;
	}
	die("too many sockets");
}

static int find(const char *id)
{
	for (int i = 0; i < MAX_SOCKETS; i++)
		if (sockets[i].used && !strcmp(sockets[i].id, id))
			return i;
	die("no socket %s", id);
}

static void drop(const char *id, bool reset)
{
	struct linger l = {.l_onoff = 1};
	int i = find(id);

	if (reset)
		setsockopt(sockets[i].fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(sockets[i].fd);
	sockets[i].used = false;
	puts("{}");
}

static void open_tcp(char **w)
{
	union sockaddr_any to = parse_endpoint(w[4]), source = {0};
	uint64_t timeout = parse_number(w[5], "MS", 1, 60000);
	bool has_source = strcmp(w[2], "-");
	int error = 0;
	socklen_t length = sizeof(error);

	if (has_source)
		source = parse_address(w[2]);
	int fd = open_socket(SOCK_STREAM, 0, &to, has_source ? &source : NULL,
			     parse_number(w[3], "PORT", 0, 65535));
	if (fd < 0)
		return say_error(-fd);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, &to.sa, address_length(&to)) && errno != EINPROGRESS)
		error = errno;
	else if (!wait_for(fd, POLLOUT, timeout))
		error = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error) {
		close(fd);
		return say_error(error);
	}
	keep(w[1], fd, to.sa.sa_family);
	puts("{}");
}

static void open_udp(char **w, int words)
{
	union sockaddr_any any = {.sa.sa_family = w[4][0] == '6' ? AF_INET6 : AF_INET},
			   source = any;
	int discover = IP_PMTUDISC_DO;

	if (strcmp(w[2], "-"))
		source = parse_address(w[2]);
	int fd = open_socket(SOCK_DGRAM, 0, &any, &source, parse_number(w[3], "PORT", 0, 65535));
	if (fd < 0)
		return say_error(-fd);
	if (words > 5) {
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover));
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover, sizeof(discover));
	}
	keep(w[1], fd, any.sa.sa_family);
	puts("{}");
}

static void open_listener(char **w)
{
	union sockaddr_any any = {.v6.sin6_family = AF_INET6};
	int fd = open_socket(SOCK_STREAM, 0, &any, NULL, parse_number(w[2], "PORT", 1, 65535));

	if (fd < 0)
		return say_error(-fd);
	if (listen(fd, 16)) {
		close(fd);
		return say_error(errno);
	}
	keep(w[1], fd, AF_INET6);
	puts("{}");
}

static void accept_one(char **w)
{
	union sockaddr_any from;
	socklen_t length = sizeof(from);
	char text[ADDRESS_TEXT];
	int i = find(w[1]);

	if (!wait_for(sockets[i].fd, POLLIN, parse_number(w[3], "MS", 1, 60000)))
		return say_error(ETIMEDOUT);
	int fd = accept4(sockets[i].fd, &from.sa, &length, SOCK_NONBLOCK);
	if (fd < 0)
		return say_error(errno);
	keep(w[2], fd, AF_INET6);
	format_endpoint(&from, text);
	printf("{\"from\":\"%s\"}\n", text);
}

static int send_data(int i, const char *to_text, size_t size)
{
	union sockaddr_any to;

	if (!strcmp(to_text, "-"))
		return send(sockets[i].fd, data, size, MSG_NOSIGNAL) < 0 ? errno : 0;
	to = parse_endpoint(to_text);
	return sendto(sockets[i].fd, data, size, MSG_NOSIGNAL, &to.sa, address_length(&to)) < 0 ?
		   errno :
		   0;
}

/* Prints the answer's JSON line (without its newline and padding). */
static void say_answer(ssize_t length, const union sockaddr_any *from)
{
	char text[ADDRESS_TEXT] = "";
	char *answer = memchr(data, '{', length);

	data[length] = 0;
	if (from)
		format_endpoint(from, text);
	if (answer)
		answer[strcspn(answer, "\n")] = 0;
	printf("{\"length\":%zd,\"from\":\"%s\",\"answer\":%s}\n", length, text,
	       answer ? answer : "null");
}

static void get(char **w)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: puppet\r\n\r\n";
	int fd = sockets[find(w[1])].fd;
	ssize_t n;

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		return say_error(errno);
	if (!wait_for(fd, POLLIN, parse_number(w[2], "MS", 1, 60000)))
		return say_error(ETIMEDOUT);
	n = recv(fd, data, MAX_DATAGRAM, MSG_DONTWAIT);
	if (n <= 0)
		return say_error(n ? errno : ERROR_EOF);
	say_answer(n, NULL);
}

static void ask(char **w)
{
	int i = find(w[1]), error, used;
	size_t size = parse_number(w[3], "SIZE", 1, MAX_DATAGRAM);
	union sockaddr_any from = {0};
	socklen_t length = sizeof(from);
	ssize_t n;

	fill_stream(data, size, 0);
	used = snprintf((char *)data, sizeof(data), "pad=%s ", w[4]);
	error = send_data(i, w[2], size > (size_t)used ? size : (size_t)used);
	if (error)
		return say_error(error);
	if (!wait_for(sockets[i].fd, POLLIN, parse_number(w[5], "MS", 1, 60000)))
		return say_error(ETIMEDOUT);
	n = recvfrom(sockets[i].fd, data, MAX_DATAGRAM, MSG_DONTWAIT, &from.sa, &length);
	if (n < 0)
		return say_error(errno);
	say_answer(n, &from);
}

static void receive(char **w)
{
	int fd = sockets[find(w[1])].fd;
	ssize_t n;

	if (!wait_for(fd, POLLIN, parse_number(w[2], "MS", 1, 60000)))
		return say_error(ETIMEDOUT);
	n = recv(fd, data, MAX_DATAGRAM, MSG_DONTWAIT);
	if (n < 0)
		return say_error(errno);
	printf(n ? "{\"length\":%zd}\n" : "{\"eof\":true}\n", n);
}

static void tell_mtu(char **w)
{
	int i = find(w[1]), mtu = 0;
	socklen_t length = sizeof(mtu);
	int error = sockets[i].family == AF_INET6 ?
			getsockopt(sockets[i].fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &length) :
			getsockopt(sockets[i].fd, IPPROTO_IP, IP_MTU, &mtu, &length);

	if (error)
		return say_error(errno);
	printf("{\"mtu\":%d}\n", mtu);
}

static void say_result(int failed)
{
	if (failed)
		say_error(errno);
	else
		puts("{}");
}

static void run(char **w, int words)
{
	const char *verb = w[0];
	union sockaddr_any to;

	if (!strcmp(verb, "tcp") && words == 6)
		return open_tcp(w);
	if (!strcmp(verb, "udp") && words >= 5)
		return open_udp(w, words);
	if (!strcmp(verb, "listen") && words == 3)
		return open_listener(w);
	if (!strcmp(verb, "accept") && words == 4)
		return accept_one(w);
	if (!strcmp(verb, "get") && words == 3)
		return get(w);
	if (!strcmp(verb, "ask") && words == 6)
		return ask(w);
	if (!strcmp(verb, "recv") && words == 3)
		return receive(w);
	if (!strcmp(verb, "mtu") && words == 2)
		return tell_mtu(w);
	if (!strcmp(verb, "close") && words == 2)
		return drop(w[1], false);
	if (!strcmp(verb, "rst") && words == 2)
		return drop(w[1], true);
	if (!strcmp(verb, "shutdown") && words == 2)
		return say_result(shutdown(sockets[find(w[1])].fd, SHUT_WR));
	if (!strcmp(verb, "peer") && words == 3) {
		to = parse_endpoint(w[2]);
		return say_result(connect(sockets[find(w[1])].fd, &to.sa, address_length(&to)));
	}
	if (!strcmp(verb, "send") && words == 4) {
		int error =
		    send_data(find(w[1]), w[2], parse_number(w[3], "SIZE", 1, MAX_DATAGRAM));

		return error ? say_error(error) : (void)puts("{}");
	}
	if (!strcmp(verb, "ping") && words == 4)
		return ping(w[1], parse_number(w[2], "SIZE", 8, 60000),
			    parse_number(w[3], "MS", 1, 60000));
	die("unknown command %s with %d words", verb, words);
}

int main(void)
{
	char line[512];

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("{\"event\":\"ready\"}");
	while (fgets(line, sizeof(line), stdin)) {
		char *words[MAX_WORDS];
		int count = 0;

		for (char *w = strtok(line, " \n"); w && count < MAX_WORDS; w = strtok(NULL, " \n"))
			words[count++] = w;
		if (count)
			run(words, count);
	}
	return 0;
}
