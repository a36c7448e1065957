/* HTTP/1.1 as far as the tests need it: keep-alive, Content-Length bodies, no chunking, no
 * pipelining. */
#include "podserver.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

struct connection {
	struct source source; /* first: epoll hands out a pointer to it */
	char in[4096];
	size_t in_length;
	bool in_body, keep_alive;
	uint64_t body_left, body_length, hash;
	char out[1024];
	size_t out_length, out_sent;
	uint64_t stream_length, stream_sent;
	bool wants_write;
};

static void drop(struct connection *c)
{
	close(c->source.fd);
	free(c);
}

void http_accept(int listener)
{
	for (int i = 0; i < 256; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;

		if (fd < 0)
			return;
		struct connection *c = calloc(1, sizeof(*c));
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
		if (!c) {
			close(fd);
			return;
		}
		c->source.kind = SOURCE_HTTP_CONNECTION;
		c->source.fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
			drop(c);
	}
}

static void start_answer(struct connection *c, const char *status, const char *body,
			 uint64_t length)
{
	c->out_length = snprintf(
	    c->out, sizeof(c->out),
	    "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %llu\r\n"
	    "Connection: %s\r\n\r\n%s",
	    status, (unsigned long long)length, c->keep_alive ? "keep-alive" : "close", body);
	c->out_sent = 0;
}

static void answer_request(struct connection *c)
{
	char body[512], path[128] = "";

	sscanf(c->in, "%*15s %127s", path);
	c->stream_length = c->stream_sent = 0;
	if (!strncmp(path, "/bytes?n=", 9)) {
		c->stream_length = strtoull(path + 9, NULL, 10);
		start_answer(c, "200 OK", "", c->stream_length);
		return;
	}
	if (!strcmp(path, "/hash")) {
		snprintf(body, sizeof(body),
			 "{\"length\":%llu,\"hash\":\"%016llx\",\"server\":\"%.60s\"}\n",
			 (unsigned long long)c->body_length, (unsigned long long)c->hash,
			 server_name);
	} else {
		union sockaddr_any peer = {0}, local = {0};
		socklen_t a = sizeof(peer), b = sizeof(local);

		getpeername(c->source.fd, &peer.sa, &a);
		getsockname(c->source.fd, &local.sa, &b);
		describe_peer(body, sizeof(body), &peer, &local, "");
	}
	start_answer(c, "200 OK", body, strlen(body));
}

/* True when a whole request is there and its answer is prepared. */
static bool take_input(struct connection *c, const uint8_t *data, size_t n)
{
	if (!c->in_body) {
		size_t before = c->in_length, room = sizeof(c->in) - 1 - before;
		size_t copied = n < room ? n : room; /* what follows the header may be megabytes */

		memcpy(c->in + before, data, copied);
		c->in_length += copied;
		c->in[c->in_length] = 0;
		char *end = strstr(c->in, "\r\n\r\n");
		if (!end) {
			if (c->in_length < sizeof(c->in) - 1)
				return false;
			c->keep_alive = false;
			start_answer(c, "431 Request Header Fields Too Large", "", 0);
			return true;
		}
		char *field = strcasestr(c->in, "\r\ncontent-length:");
		c->body_left = c->body_length =
		    field && field < end ? strtoull(field + 17, NULL, 10) : 0;
		c->keep_alive = !strcasestr(c->in, "\r\nconnection: close");
		c->hash = HASH_START;
		c->in_body = true;
		data += end + 4 - (c->in + before);
		n -= end + 4 - (c->in + before);
	}
	if (n > c->body_left)
		n = c->body_left;
	c->hash = hash_bytes(c->hash, data, n);
	c->body_left -= n;
	if (c->body_left)
		return false;
	answer_request(c);
	c->in_body = false;
	c->in_length = 0;
	return true;
}

/* 1: all sent, 0: the socket is full, -1: broken. */
static int send_pending(struct connection *c)
{
	static uint8_t chunk[65536];

	for (;;) {
		const void *data = c->out + c->out_sent;
		size_t length = c->out_length - c->out_sent;
		bool from_stream = !length;

		if (from_stream) {
			uint64_t left = c->stream_length - c->stream_sent;

			if (!left)
				return 1;
			length = left < sizeof(chunk) ? left : sizeof(chunk);
			fill_stream(chunk, length, c->stream_sent);
			data = chunk;
		}
		ssize_t n = send(c->source.fd, data, length, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		if (from_stream)
			c->stream_sent += n;
		else
			c->out_sent += n;
	}
}

static void want(struct connection *c, bool write)
{
	struct epoll_event event = {.events = write ? EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (c->wants_write != write)
		epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->source.fd, &event);
	c->wants_write = write;
}

void http_serve(struct source *s, uint32_t events)
{
	static uint8_t data[65536];
	struct connection *c = (struct connection *)s;

	if (c->wants_write) {
		int sent = send_pending(c);

		if (sent < 0 || (sent && !c->keep_alive))
			drop(c);
		else if (sent)
			want(c, false);
		return;
	}
	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(c->source.fd, data, sizeof(data), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			drop(c);
			return;
		}
		if (!take_input(c, data, n))
			continue;
		int sent = send_pending(c);
		if (sent < 0 || (sent && !c->keep_alive)) {
			drop(c);
			return;
		}
		if (!sent) {
			want(c, true);
			return;
		}
	}
}
