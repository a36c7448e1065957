/*
 * netclient MODE --to ADDRESS:PORT [options]
 *
 *   tcp       --count new connections, --concurrency at a time, one request each (--no-request:
 * connect only) hold      --count connections that ask every --interval-ms for --seconds udp
 * --count datagrams, each from a new socket or all from --one-socket; --connected transfer  --bytes
 * of the deterministic stream sent (or received with --receive), hashes compared forge     --count
 * packets with a wrong UDP checksum (TCP without --udp), to test that captures see them
 *
 * Common: --source ADDRESS, --source-port PORT, --timeout-ms of one attempt (2000), --deadline-ms
 * of the whole run (60000), --seconds: instead of a count, go on that long (SIGTERM ends it
 * earlier), --path, --size of a datagram, --rst: close by reset, so that a fixed source port is
 * free again at once, --sctp: tcp and hold by SCTP. The last line on stdout is the result as JSON;
 * with --seconds a line
 * {"event":"started"} comes first. Exit code: 0 when the run took place (failures are in the JSON),
 * 2 for wrong use.
 */
#include "netclient.h"

#include <string.h>

uint64_t run_end(const struct options *o, uint64_t start_ns)
{
	return start_ns + (o->seconds ? o->seconds * 1000 : o->deadline_ms) * 1000000ULL;
}

bool run_goes_on(const struct options *o, uint64_t started, uint64_t end_ns)
{
	return !stop_requested && now_ns() < end_ns && (o->seconds || started < o->count);
}

void print_started(void)
{
	puts("{\"event\":\"started\"}");
	fflush(stdout);
}

void note_failure(struct report *r, int error, const char *phase, uint64_t took_ns)
{
	if (!r->failed++)
		r->first_failure_ns = took_ns;
	r->last_failure_ns = took_ns;
	count_key(&r->errors, error_name(error));
	count_key(&r->phases, phase);
}

void note_success(struct report *r, const char *answer, uint64_t took_ns)
{
	char text[80];

	if (!r->ok++ || took_ns < r->min_ns)
		r->min_ns = took_ns;
	if (took_ns > r->max_ns)
		r->max_ns = took_ns;
	r->total_ns += took_ns;
	if (!answer)
		return;
	count_key(&r->servers, json_field(answer, "server", text, sizeof(text)) ? text : "?");
	count_key(&r->peers, json_field(answer, "peer", text, sizeof(text)) ? text : "?");
	count_key(&r->locals, json_field(answer, "local", text, sizeof(text)) ? text : "?");
}

void note_peer_name(struct report *r, int fd)
{
	union sockaddr_any name;
	socklen_t length = sizeof(name);
	char text[ADDRESS_TEXT];

	if (getpeername(fd, &name.sa, &length))
		return; /* reset meanwhile; the request says so */
	format_endpoint(&name, text);
	count_key(&r->peer_names, text);
}

void print_report(const char *mode, const struct report *r)
{
	printf("{\"mode\":\"%s\",\"ok\":%llu,\"failed\":%llu,", mode, (unsigned long long)r->ok,
	       (unsigned long long)r->failed);
	print_counter(stdout, "errors", &r->errors);
	putchar(',');
	print_counter(stdout, "failedIn", &r->phases);
	putchar(',');
	print_counter(stdout, "byServer", &r->servers);
	putchar(',');
	print_counter(stdout, "peers", &r->peers);
	putchar(',');
	print_counter(stdout, "locals", &r->locals);
	putchar(',');
	print_counter(stdout, "peerName", &r->peer_names);
	printf(
	    ",\"elapsedMs\":%.3f,\"minMs\":%.3f,\"meanMs\":%.3f,\"maxMs\":%.3f,"
	    "\"firstFailureMs\":%.3f,\"lastFailureMs\":%.3f,\"opened\":%llu,\"alive\":%llu}\n",
	    (now_ns() - r->start_ns) / 1e6, r->min_ns / 1e6,
	    r->ok ? r->total_ns / 1e6 / r->ok : 0.0, r->max_ns / 1e6, r->first_failure_ns / 1e6,
	    r->last_failure_ns / 1e6, (unsigned long long)r->opened, (unsigned long long)r->alive);
}

static bool set_flag(struct options *o, const char *flag)
{
	if (!strcmp(flag, "--no-request"))
		return o->no_request = true;
	if (!strcmp(flag, "--one-socket"))
		return o->one_socket = true;
	if (!strcmp(flag, "--connected"))
		return o->connected = true;
	if (!strcmp(flag, "--receive"))
		return o->receive = true;
	if (!strcmp(flag, "--rst"))
		return o->rst = true;
	if (!strcmp(flag, "--udp"))
		return o->udp = true;
	if (!strcmp(flag, "--sctp")) {
		o->protocol = IPPROTO_SCTP;
		return true;
	}
	return false;
}

static void set_value(struct options *o, const char *flag, const char *value)
{
	static union sockaddr_any source;
	static const struct {
		const char *flag;
		size_t offset;
		uint64_t min, max;
	} numbers[] = {
	    {"--count", offsetof(struct options, count), 1, 10000000},
	    {"--concurrency", offsetof(struct options, concurrency), 1, 1000},
	    {"--seconds", offsetof(struct options, seconds), 1, 3600},
	    {"--timeout-ms", offsetof(struct options, timeout_ms), 1, 600000},
	    {"--deadline-ms", offsetof(struct options, deadline_ms), 1, 3600000},
	    {"--interval-ms", offsetof(struct options, interval_ms), 1, 60000},
	    {"--size", offsetof(struct options, size), 1, 65507},
	    {"--bytes", offsetof(struct options, bytes), 1, 1ULL << 40},
	};

	if (!value)
		die("%s is unknown, or needs a value", flag);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!strcmp(flag, numbers[i].flag)) {
			*(uint64_t *)((char *)o + numbers[i].offset) =
			    parse_number(value, flag, numbers[i].min, numbers[i].max);
			return;
		}
	}
	if (!strcmp(flag, "--to")) {
		o->to = parse_endpoint(value);
	} else if (!strcmp(flag, "--source")) {
		source = parse_address(value);
		o->source = &source;
	} else if (!strcmp(flag, "--source-port")) {
		o->source_port = parse_number(value, flag, 1, 65535);
	} else if (!strcmp(flag, "--path")) {
		o->path = value;
	} else {
		die("unknown flag %s", flag);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.count = 1,
			    .concurrency = 1,
			    .timeout_ms = 2000,
			    .deadline_ms = 60000,
			    .interval_ms = 50,
			    .size = 32,
			    .bytes = 1 << 20,
			    .path = "/"};
	const char *mode = argc > 1 ? argv[1] : "";

	for (int i = 2; i < argc; i++) {
		if (!set_flag(&o, argv[i])) {
			set_value(&o, argv[i], argv[i + 1]);
			i++;
		}
	}
	if (!o.to.sa.sa_family)
		die("needs a mode (tcp, hold, udp, transfer, forge) and --to ADDRESS:PORT");
	if (o.source && o.source->sa.sa_family != o.to.sa.sa_family)
		die("--source and --to are not of one family");
	catch_stop();
	if (!strcmp(mode, "tcp"))
		return run_tcp(&o);
	if (!strcmp(mode, "hold"))
		return run_hold(&o);
	if (!strcmp(mode, "udp"))
		return run_udp(&o);
	if (!strcmp(mode, "transfer"))
		return run_transfer(&o);
	if (!strcmp(mode, "forge"))
		return run_forge(&o);
	die("unknown mode '%s'", mode);
}
