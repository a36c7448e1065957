/* One big transfer with the hash compared at the end. Blocking, with a deadline for the whole. */
#include "netclient.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <unistd.h>

struct transfer {
	const struct options *o;
	int fd;
	uint64_t end_ns, done;
	int error;
};

static bool failed(struct transfer *t, int error)
{
	t->error = error == EAGAIN || error == EINPROGRESS ? ETIMEDOUT : error;
	return false;
}

static bool may_go_on(struct transfer *t)
{
	return (!stop_requested && now_ns() < t->end_ns) || failed(t, ETIMEDOUT);
}

static bool send_all(struct transfer *t, const uint8_t *data, size_t length)
{
	while (length) {
		if (!may_go_on(t))
			return false;
		ssize_t n = send(t->fd, data, length, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(t, errno);
		data += n;
		length -= n;
	}
	return true;
}

static ssize_t receive_some(struct transfer *t, uint8_t *data, size_t room)
{
	for (;;) {
		if (!may_go_on(t))
			return -1;
		ssize_t n = recv(t->fd, data, room, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			failed(t, n ? errno : ERROR_EOF);
		return n;
	}
}

/* Reads the header and what came behind it into data; returns how much of the body is there. */
static ssize_t receive_header(struct transfer *t, char *data, size_t room, uint64_t *content_length)
{
	size_t used = 0;

	for (;;) {
		ssize_t n = receive_some(t, (uint8_t *)data + used, room - 1 - used);

		if (n <= 0)
			return -1;
		used += n;
		data[used] = 0;
		char *end = strstr(data, "\r\n\r\n");
		if (end) {
			char *field = strcasestr(data, "\r\ncontent-length:");

			if (!field || field > end || strncmp(data, "HTTP/1.1 200", 12)) {
				failed(t, ERROR_PROTOCOL);
				return -1;
			}
			*content_length = strtoull(field + 17, NULL, 10);
			size_t rest = used - (end + 4 - data);
			memmove(data, end + 4, rest);
			data[rest] = 0;
			return rest;
		}
		if (used >= room - 1) {
			failed(t, ERROR_PROTOCOL);
			return -1;
		}
	}
}

static uint64_t receive_stream(struct transfer *t)
{
	static char head[65536];
	uint64_t length = 0, hash = HASH_START;
	char request[128];
	int n = snprintf(request, sizeof(request),
			 "GET /bytes?n=%" PRIu64 " HTTP/1.1\r\nHost: box\r\n\r\n", t->o->bytes);

	if (!send_all(t, (uint8_t *)request, n))
		return 0;
	ssize_t got = receive_header(t, head, sizeof(head), &length);
	while (got > 0 || (got == 0 && t->done < length)) {
		hash = hash_bytes(hash, (uint8_t *)head, got);
		t->done += got;
		if (t->done >= length)
			break;
		got = receive_some(t, (uint8_t *)head, sizeof(head));
		if (got <= 0)
			break;
	}
	return hash;
}

static uint64_t send_stream(struct transfer *t)
{
	static uint8_t chunk[65536];
	char answer[2048], text[32];
	uint64_t length;
	int n = snprintf(answer, sizeof(answer),
			 "POST /hash HTTP/1.1\r\nHost: box\r\nContent-Length: %" PRIu64 "\r\n\r\n",
			 t->o->bytes);

	if (!send_all(t, (uint8_t *)answer, n))
		return 0;
	while (t->done < t->o->bytes) {
		uint64_t left = t->o->bytes - t->done;
		size_t size = left < sizeof(chunk) ? left : sizeof(chunk);

		fill_stream(chunk, size, t->done);
		if (!send_all(t, chunk, size))
			return 0;
		t->done += size;
	}
	ssize_t got = receive_header(t, answer, sizeof(answer), &length);
	while (got >= 0 && (uint64_t)got < length && length < sizeof(answer)) {
		ssize_t more = receive_some(t, (uint8_t *)answer + got, sizeof(answer) - 1 - got);

		if (more <= 0)
			return 0;
		got += more;
		answer[got] = 0;
	}
	if (got < 0 || !json_field(answer, "hash", text, sizeof(text)))
		return 0;
	return strtoull(text, NULL, 16);
}

int run_transfer(const struct options *o)
{
	struct transfer t = {.o = o};
	uint64_t start = now_ns(), hash = 0, expected = hash_stream(o->bytes);
	struct timeval wait = {.tv_sec = o->timeout_ms / 1000,
			       .tv_usec = o->timeout_ms % 1000 * 1000};

	t.end_ns = start + o->deadline_ms * 1000000ULL;
	t.fd = open_socket(SOCK_STREAM, 0, &o->to, o->source, o->source_port);
	if (t.fd < 0) {
		failed(&t, -t.fd);
	} else {
		/* Also bounds connect(), which then fails with EINPROGRESS. */
		setsockopt(t.fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		setsockopt(t.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		if (connect(t.fd, &o->to.sa, address_length(&o->to)))
			failed(&t, errno);
		else
			hash = o->receive ? receive_stream(&t) : send_stream(&t);
		close(t.fd);
	}
	if (!t.error && hash != expected)
		t.error = ERROR_MISMATCH;
	printf("{\"mode\":\"transfer\",\"direction\":\"%s\",\"ok\":%s,\"bytes\":%" PRIu64
	       ",\"hash\":\"%016" PRIx64 "\",\"expected\":\"%016" PRIx64
	       "\",\"error\":%s%s%s,\"elapsedMs\":%.3f}\n",
	       o->receive ? "receive" : "send", t.error ? "false" : "true", t.done, hash, expected,
	       t.error ? "\"" : "", t.error ? error_name(t.error) : "null", t.error ? "\"" : "",
	       (now_ns() - start) / 1e6);
	return 0;
}
