/* The client of the tests. Every mode is bounded in count and in time and ends with one line of
 * JSON. */
#ifndef BOX_NETCLIENT_H
#define BOX_NETCLIENT_H

#include "tool.h"

struct options {
	union sockaddr_any to;
	const union sockaddr_any *source; /* NULL: the kernel chooses */
	uint16_t source_port;
	int protocol; /* of tcp and hold: 0, or IPPROTO_SCTP */
	uint64_t count, concurrency, seconds, timeout_ms, deadline_ms, interval_ms, size, bytes;
	bool no_request, one_socket, connected, receive, rst, udp;
	const char *path;
};

/* What many attempts have in common. */
struct report {
	uint64_t ok, failed, start_ns;
	uint64_t min_ns, max_ns, total_ns;          /* of successful attempts */
	uint64_t first_failure_ns, last_failure_ns; /* how long the attempt took until it failed */
	uint64_t opened, alive; /* hold: connections at the start and at the end */
	struct counter errors, phases, servers, peers, locals, peer_names;
};

/* Until when the whole run may go on: --seconds (as often as fits), else --deadline-ms. */
uint64_t run_end(const struct options *o, uint64_t start_ns);
/* More attempts to start? */
bool run_goes_on(const struct options *o, uint64_t started, uint64_t end_ns);
/* One line for the caller who waits until the load is running. */
void print_started(void);

void note_failure(struct report *r, int error, const char *phase, uint64_t took_ns);
void note_success(struct report *r, const char *answer, uint64_t took_ns);
void note_peer_name(struct report *r, int fd);
void print_report(const char *mode, const struct report *r);

int run_tcp(const struct options *o);
int run_hold(const struct options *o);
int run_udp(const struct options *o);
int run_transfer(const struct options *o);
int run_forge(const struct options *o);

#endif
