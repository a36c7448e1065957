/*
 * loadgen crr|rr --to ADDRESS:PORT [--connections C] [--seconds S] [--warmup-ms W] [--udp]
 *
 * One thread, one epoll. crr: every operation is connect, request, response, close (by reset, so
 * that no port waits in TIME_WAIT: the load must not run out of ports before the time is over). rr:
 * C connections that stay. With --udp an operation is a datagram and its answer; rr: from sockets
 * that stay, crr: each from a new one. Ends with one line of JSON:
 * {"mode","ops","seconds","opsPerSecond","p50us","p99us","errors","errorNames"}.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "http_conn.h"

#define LATENCY_BUCKETS 4096
#define TIMEOUT_NS      1000000000ULL

static struct {
	union sockaddr_any to;
	bool keep, udp;
	uint64_t connections, seconds, warmup_ms;
} options = {.connections = 32, .seconds = 5, .warmup_ms = 200};

struct worker {
	struct http_conn conn; /* of a UDP worker only fd and started_ns are used */
	uint64_t operation_ns;
};

static int epoll_fd;
static bool measuring;
static uint64_t operations, errors, latencies[LATENCY_BUCKETS];
static struct counter error_names;

/* 64 steps for every doubling: 1.6 % wide buckets from 1 ns on. */
static size_t bucket_of(uint64_t ns)
{
	if (ns < 64)
		return ns;
	int shift = 63 - __builtin_clzll(ns) - 6;

	return (size_t)(shift + 1) * 64 + ((ns >> shift) & 63);
}

static double bucket_ns(size_t bucket)
{
	if (bucket < 64)
		return bucket;
	int shift = bucket / 64 - 1;

	return (double)((64 + bucket % 64) << shift) + (double)(1ULL << shift) / 2;
}

static double percentile_us(double part)
{
	uint64_t seen = 0, want = operations * part;

	for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latencies[i];
		if (seen > want)
			return bucket_ns(i) / 1000;
	}
	return 0;
}

static void note(struct worker *w, int error)
{
	if (!measuring)
		return;
	if (error) {
		errors++;
		count_key(&error_names, error_name(error));
		return;
	}
	operations++;
	latencies[bucket_of(now_ns() - w->operation_ns)]++;
}

static void watch(struct worker *w, int op)
{
	struct epoll_event event = {.data.ptr = w};

	event.events =
	    !options.udp && (w->conn.step == HTTP_CONNECTING || w->conn.step == HTTP_SENDING) ?
		EPOLLOUT :
		EPOLLIN;
	epoll_ctl(epoll_fd, op, w->conn.fd, &event);
}

static void udp_send(struct worker *w)
{
	w->operation_ns = now_ns();
	if (send(w->conn.fd, "ask", 3, MSG_NOSIGNAL) < 0)
		note(w, errno); /* the timeout starts the next one */
}

static void begin(struct worker *w)
{
	if (!options.udp) {
		http_open(&w->conn, 0, &options.to, NULL, 0, true);
		w->operation_ns = w->conn.started_ns;
	} else {
		w->conn.fd = open_socket(SOCK_DGRAM | SOCK_NONBLOCK, 0, &options.to, NULL, 0);
		if (w->conn.fd < 0 ||
		    connect(w->conn.fd, &options.to.sa, address_length(&options.to)))
			die("open a UDP socket: %s", strerror(errno));
		udp_send(w);
	}
	if (w->conn.fd >= 0)
		watch(w, EPOLL_CTL_ADD);
}

static void restart(struct worker *w)
{
	http_close(&w->conn);
	begin(w);
}

static void next_udp(struct worker *w)
{
	char data[2048];
	ssize_t n = recv(w->conn.fd, data, sizeof(data), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	note(w, n < 0 ? errno : 0);
	if (options.keep)
		udp_send(w);
	else
		restart(w);
}

static void next_tcp(struct worker *w)
{
	enum http_step before = w->conn.step;

	if (http_advance(&w->conn) == HTTP_CONNECTED) {
		if (options.keep)
			w->operation_ns = now_ns();
		http_request(&w->conn, "/", true);
		http_advance(&w->conn);
	}
	/* The next answer may be here as soon as its request has left, and then no event announces
	 * it. */
	for (int i = 0; options.keep && w->conn.step == HTTP_ANSWERED && i < 64; i++) {
		note(w, 0);
		w->operation_ns = now_ns();
		http_request(&w->conn, "/", true);
		http_advance(&w->conn);
	}
	if (w->conn.step == HTTP_FAILED || w->conn.step == HTTP_ANSWERED) {
		note(w, w->conn.step == HTTP_FAILED ? w->conn.error : 0);
		restart(w);
	} else if (before != w->conn.step) {
		watch(w, EPOLL_CTL_MOD);
	}
}

static void restart_late(struct worker *workers)
{
	uint64_t now = now_ns();

	for (uint64_t i = 0; i < options.connections; i++) {
		if (now - workers[i].operation_ns > TIMEOUT_NS || workers[i].conn.fd < 0) {
			note(&workers[i],
			     workers[i].conn.fd < 0 ? workers[i].conn.error : ETIMEDOUT);
			restart(&workers[i]);
		}
	}
}

static void run(struct worker *workers, uint64_t end)
{
	uint64_t checked = now_ns(), now;

	while ((now = now_ns()) < end && !stop_requested) {
		struct epoll_event events[256];
		int n = epoll_wait(epoll_fd, events, 256, 10);

		for (int i = 0; i < n; i++) {
			if (options.udp)
				next_udp(events[i].data.ptr);
			else
				next_tcp(events[i].data.ptr);
		}
		if (now - checked > 50000000) {
			restart_late(workers);
			checked = now;
		}
	}
}

static void parse(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	options.keep = !strcmp(mode, "rr");
	if (!options.keep && strcmp(mode, "crr"))
		die("needs a mode (crr, rr) and --to ADDRESS:PORT");
	for (int i = 2; i < argc; i++) {
		const char *flag = argv[i], *value = argv[i + 1];

		if (!strcmp(flag, "--udp")) {
			options.udp = true;
			continue;
		}
		if (!value)
			die("%s is unknown, or needs a value", flag);
		i++;
		if (!strcmp(flag, "--to"))
			options.to = parse_endpoint(value);
		else if (!strcmp(flag, "--connections"))
			options.connections = parse_number(value, flag, 1, 4096);
		else if (!strcmp(flag, "--seconds"))
			options.seconds = parse_number(value, flag, 1, 3600);
		else if (!strcmp(flag, "--warmup-ms"))
			options.warmup_ms = parse_number(value, flag, 0, 60000);
		else
			die("unknown flag %s", flag);
	}
	if (!options.to.sa.sa_family)
		die("needs --to ADDRESS:PORT");
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	struct worker *workers = calloc(options.connections, sizeof(*workers));
	if (!workers)
		die("out of memory");
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	catch_stop();
	for (uint64_t i = 0; i < options.connections; i++)
		begin(&workers[i]);
	run(workers, now_ns() + options.warmup_ms * 1000000ULL);
	measuring = true;
	uint64_t start = now_ns();
	run(workers, start + options.seconds * 1000000000ULL);
	double seconds = (now_ns() - start) / 1e9;
	printf(
	    "{\"mode\":\"%s\",\"protocol\":\"%s\",\"connections\":%llu,\"ops\":%llu,\"seconds\":%."
	    "4f,"
	    "\"opsPerSecond\":%.1f,\"p50us\":%.2f,\"p99us\":%.2f,\"errors\":%llu,",
	    options.keep ? "rr" : "crr", options.udp ? "udp" : "tcp",
	    (unsigned long long)options.connections, (unsigned long long)operations, seconds,
	    operations / seconds, percentile_us(0.5), percentile_us(0.99),
	    (unsigned long long)errors);
	print_counter(stdout, "errorNames", &error_names);
	puts("}");
	return 0;
}
