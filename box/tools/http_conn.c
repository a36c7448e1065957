#include "http_conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static enum http_step fail(struct http_conn *c, int error)
{
	c->error = error;
	return c->step = HTTP_FAILED;
}

void http_open(struct http_conn *c, int protocol, const union sockaddr_any *to,
	       const union sockaddr_any *source, uint16_t source_port, bool linger_rst)
{
	int one = 1;

	memset(c, 0, offsetof(struct http_conn, out));
	c->in_length = c->out_length = c->out_sent = 0;
	c->started_ns = now_ns();
	c->failed_connect = true;
	c->fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK, protocol, to, source, source_port);
	if (c->fd < 0) {
		fail(c, -c->fd);
		return;
	}
	if (!protocol)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (linger_rst) {
		struct linger now = {.l_onoff = 1, .l_linger = 0};

		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	c->step = HTTP_CONNECTING;
	if (connect(c->fd, &to->sa, address_length(to)) && errno != EINPROGRESS)
		fail(c, errno);
}

void http_request(struct http_conn *c, const char *path, bool keep_alive)
{
	c->out_length =
	    snprintf(c->out, sizeof(c->out), "GET %.160s HTTP/1.1\r\nHost: box\r\n%s\r\n", path,
		     keep_alive ? "" : "Connection: close\r\n");
	c->out_sent = 0;
	c->in_length = 0;
	c->asked_ns = now_ns();
	c->step = HTTP_SENDING;
}

static enum http_step finish_connect(struct http_conn *c)
{
	int error = 0;
	socklen_t length = sizeof(error);
	struct pollfd p = {.fd = c->fd, .events = POLLOUT};

	if (poll(&p, 1, 0) <= 0)
		return c->step;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error)
		return fail(c, error);
	c->connected_ns = now_ns();
	c->failed_connect = false;
	return c->step = HTTP_CONNECTED;
}

/* The answer is whole when Content-Length bytes follow the header. */
static enum http_step check_answer(struct http_conn *c)
{
	c->in[c->in_length] = 0;
	char *end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return c->in_length == sizeof(c->in) - 1 ? fail(c, ERROR_PROTOCOL) : c->step;
	char *field = strcasestr(c->in, "\r\ncontent-length:");
	if (!field || field > end || strncmp(c->in, "HTTP/1.1 200", 12))
		return fail(c, ERROR_PROTOCOL);
	size_t length = strtoul(field + 17, NULL, 10);
	c->body = end + 4;
	if (c->body + length >= c->in + sizeof(c->in))
		return fail(c, ERROR_PROTOCOL);
	if (c->body + length > c->in + c->in_length)
		return c->step;
	return c->step = HTTP_ANSWERED;
}

static enum http_step read_answer(struct http_conn *c)
{
	for (;;) {
		ssize_t n = recv(c->fd, c->in + c->in_length, sizeof(c->in) - 1 - c->in_length, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? c->step : fail(c, errno);
		if (n == 0)
			return fail(c, ERROR_EOF);
		c->in_length += n;
		if (check_answer(c) != HTTP_READING)
			return c->step;
	}
}

enum http_step http_advance(struct http_conn *c)
{
	if (c->step == HTTP_CONNECTING)
		return finish_connect(c);
	while (c->step == HTTP_SENDING) {
		ssize_t n =
		    send(c->fd, c->out + c->out_sent, c->out_length - c->out_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? c->step : fail(c, errno);
		c->out_sent += n;
		if (c->out_sent == c->out_length)
			c->step = HTTP_READING;
	}
	if (c->step == HTTP_READING)
		return read_answer(c);
	return c->step;
}

void http_close(struct http_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}
