/* New connections (tcp) and connections that stay (hold): both on one epoll. */
#include "netclient.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "http_conn.h"

struct slot {
	struct http_conn conn;
	bool used;
	uint64_t due_ns; /* hold: when to ask next */
};

static struct slot *make_slots(uint64_t count)
{
	struct slot *slots = calloc(count, sizeof(*slots));

	if (!slots)
		die("out of memory");
	return slots;
}

static void watch(int epoll_fd, struct slot *s, int op)
{
	struct epoll_event event = {.data.ptr = s};

	event.events =
	    s->conn.step == HTTP_CONNECTING || s->conn.step == HTTP_SENDING ? EPOLLOUT : EPOLLIN;
	epoll_ctl(epoll_fd, op, s->conn.fd, &event);
}

static const char *phase_of(const struct http_conn *c)
{
	return c->failed_connect ? "connect" : "request";
}

static void finish(struct report *r, struct slot *s, int error)
{
	uint64_t took = now_ns() - s->conn.started_ns;

	if (error)
		note_failure(r, error, phase_of(&s->conn), took);
	else
		note_success(r, s->conn.step == HTTP_ANSWERED ? s->conn.body : NULL, took);
	http_close(&s->conn);
	s->used = false;
}

/* True when the attempt is over and counted. */
static bool advance(const struct options *o, struct report *r, struct slot *s)
{
	if (http_advance(&s->conn) == HTTP_CONNECTED) {
		note_peer_name(r, s->conn.fd);
		if (o->no_request) {
			finish(r, s, 0);
			return true;
		}
		http_request(&s->conn, o->path, false);
		http_advance(&s->conn);
	}
	if (s->conn.step != HTTP_ANSWERED && s->conn.step != HTTP_FAILED)
		return false;
	finish(r, s, s->conn.step == HTTP_FAILED ? s->conn.error : 0);
	return true;
}

static void time_out(const struct options *o, struct report *r, struct slot *s)
{
	if (s->used && now_ns() - s->conn.started_ns > o->timeout_ms * 1000000ULL)
		finish(r, s, ETIMEDOUT);
}

int run_tcp(const struct options *o)
{
	struct slot *slots = make_slots(o->concurrency);
	struct report r = {.start_ns = now_ns()};
	uint64_t started = 0, active = 0, end = run_end(o, r.start_ns);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (o->seconds)
		print_started();
	for (;;) {
		struct epoll_event events[256];

		active = 0;
		for (uint64_t i = 0; i < o->concurrency; i++) {
			struct slot *s = &slots[i];

			time_out(o, &r, s);
			if (!s->used && run_goes_on(o, started, end)) {
				http_open(&s->conn, o->protocol, &o->to, o->source, o->source_port,
					  o->rst);
				s->used = true;
				started++;
				if (!advance(o, &r, s))
					watch(epoll_fd, s, EPOLL_CTL_ADD);
			}
			active += s->used;
		}
		if (!active && !run_goes_on(o, started, end))
			break;
		if (!o->seconds && now_ns() > end)
			break; /* what is still open at the deadline is counted below */
		int n = active ? epoll_wait(epoll_fd, events, 256, 10) : 0;
		for (int i = 0; i < n; i++) {
			struct slot *s = events[i].data.ptr;

			if (!advance(o, &r, s))
				watch(epoll_fd, s, EPOLL_CTL_MOD);
		}
	}
	for (uint64_t i = 0; i < o->concurrency; i++)
		if (slots[i].used)
			finish(&r, &slots[i], ETIMEDOUT);
	print_report("tcp", &r);
	return 0;
}

/* Opens all connections, so that the caller's event (a restart) meets established flows only. */
static uint64_t open_all(const struct options *o, struct report *r, struct slot *slots)
{
	uint64_t open = 0;

	for (uint64_t i = 0; i < o->count && !stop_requested; i++) {
		struct slot *s = &slots[i];
		uint64_t limit = now_ns() + o->timeout_ms * 1000000ULL;
		struct http_conn *c = &s->conn;

		http_open(c, o->protocol, &o->to, o->source, o->source_port, o->rst);
		while (c->step == HTTP_CONNECTING && now_ns() < limit) {
			int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
			struct epoll_event event;

			watch(epoll_fd, s, EPOLL_CTL_ADD);
			epoll_wait(epoll_fd, &event, 1, 10);
			close(epoll_fd);
			http_advance(c);
		}
		if (c->step != HTTP_CONNECTED) {
			finish(r, s, c->step == HTTP_FAILED ? c->error : ETIMEDOUT);
			continue;
		}
		note_peer_name(r, c->fd);
		s->used = true;
		s->due_ns = now_ns();
		open++;
	}
	return open;
}

/* One exchange may be over; a broken connection is counted and not opened again. */
static void serve_held(const struct options *o, struct report *r, struct slot *s)
{
	struct http_conn *c = &s->conn;
	uint64_t took = now_ns() - c->asked_ns;

	if (c->step == HTTP_ANSWERED) {
		note_success(r, c->body, took);
		c->step = HTTP_CONNECTED;
	} else if (c->step == HTTP_FAILED ||
		   (c->step > HTTP_CONNECTED && took > o->timeout_ms * 1000000ULL)) {
		note_failure(r, c->step == HTTP_FAILED ? c->error : ETIMEDOUT, "request", took);
		http_close(c);
		s->used = false;
	}
}

int run_hold(const struct options *o)
{
	struct slot *slots = make_slots(o->count);
	struct report r = {.start_ns = now_ns()};
	uint64_t end;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	r.opened = open_all(o, &r, slots);
	for (uint64_t i = 0; i < o->count; i++) {
		if (slots[i].used)
			watch(epoll_fd, &slots[i], EPOLL_CTL_ADD);
	}
	if (o->seconds)
		print_started();
	end = run_end(o, now_ns());
	while (!stop_requested && now_ns() < end) {
		struct epoll_event events[256];
		uint64_t now = now_ns(), alive = 0;

		for (uint64_t i = 0; i < o->count; i++) {
			struct slot *s = &slots[i];

			if (!s->used)
				continue;
			alive++;
			if (s->conn.step == HTTP_CONNECTED && now >= s->due_ns) {
				http_request(&s->conn, o->path, true);
				http_advance(&s->conn);
				s->due_ns = now + o->interval_ms * 1000000ULL;
			}
			serve_held(o, &r, s);
		}
		if (!alive)
			break;
		int n = epoll_wait(epoll_fd, events, 256, 1);
		for (int i = 0; i < n; i++) {
			struct slot *s = events[i].data.ptr;

			if (!s->used)
				continue;
			if (s->conn.step ==
			    HTTP_CONNECTED) { /* idle: only an end or a reset can come */
				http_request(&s->conn, o->path, true);
			}
			http_advance(&s->conn);
			serve_held(o, &r, s);
		}
	}
	for (uint64_t i = 0; i < o->count; i++)
		r.alive += slots[i].used;
	print_report("hold", &r);
	return 0;
}
