#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + t.tv_nsec;
}

uint64_t parse_number(const char *text, const char *what, uint64_t min, uint64_t max)
{
	char *end;

	errno = 0;
	uint64_t n = strtoull(text, &end, 10);

	if (errno || end == text || *end || text[0] == '-' || n < min || n > max)
		die("%s: '%s' is not a number from %llu to %llu", what, text,
		    (unsigned long long)min, (unsigned long long)max);
	return n;
}

union sockaddr_any parse_address(const char *text)
{
	union sockaddr_any a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
		a.v4.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1)
		a.v6.sin6_family = AF_INET6;
	else
		die("'%s' is not an IP address", text);
	return a;
}

union sockaddr_any parse_endpoint(const char *text)
{
	char host[ADDRESS_TEXT];
	const char *colon = strrchr(text, ':');

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		die("'%s' is not ADDRESS:PORT or [ADDRESS]:PORT", text);
	size_t length = colon - text;
	const char *from = text;
	if (text[0] == '[' && length > 2 && text[length - 1] == ']') {
		from++;
		length -= 2;
	}
	memcpy(host, from, length);
	host[length] = 0;
	union sockaddr_any a = parse_address(host);
	set_port(&a, parse_number(colon + 1, "port", 1, 65535));
	return a;
}

socklen_t address_length(const union sockaddr_any *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

uint16_t address_port(const union sockaddr_any *a)
{
	return ntohs(a->sa.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

void set_port(union sockaddr_any *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->v4.sin_port = htons(port);
	else
		a->v6.sin6_port = htons(port);
}

static bool is_ipv4(const union sockaddr_any *a)
{
	return a->sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
}

void format_address(const union sockaddr_any *a, char out[ADDRESS_TEXT])
{
	if (a->sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->v4.sin_addr, out, ADDRESS_TEXT);
	else if (is_ipv4(a))
		inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], out, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, &a->v6.sin6_addr, out, ADDRESS_TEXT);
}

void format_endpoint(const union sockaddr_any *a, char out[ADDRESS_TEXT])
{
	char host[ADDRESS_TEXT];

	format_address(a, host);
	snprintf(out, ADDRESS_TEXT, is_ipv4(a) ? "%.45s:%u" : "[%.45s]:%u", host, address_port(a));
}

/* splitmix64: neighbouring blocks have nothing in common, so a shifted stream never hashes the
 * same. */
static uint64_t stream_block(uint64_t index)
{
	uint64_t z = index * 0x9e3779b97f4a7c15ULL + 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void fill_stream(uint8_t *out, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		uint64_t block = htole64(stream_block((offset + done) / 8));
		size_t skip = (offset + done) % 8, n = 8 - skip;

		if (n > length - done)
			n = length - done;
		memcpy(out + done, (uint8_t *)&block + skip, n);
		done += n;
	}
}

uint64_t hash_bytes(uint64_t hash, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ data[i]) * 0x100000001b3ULL;
	return hash;
}

uint64_t hash_stream(uint64_t length)
{
	static uint8_t buffer[65536];
	uint64_t hash = HASH_START;

	for (uint64_t done = 0; done < length;) {
		size_t n = length - done < sizeof(buffer) ? length - done : sizeof(buffer);

		fill_stream(buffer, n, done);
		hash = hash_bytes(hash, buffer, n);
		done += n;
	}
	return hash;
}

void count_key(struct counter *c, const char *key)
{
	for (size_t i = 0; i < c->used; i++) {
		if (!strcmp(c->entries[i].key, key)) {
			c->entries[i].count++;
			return;
		}
	}
	if (c->used == c->room) {
		c->room = c->room ? c->room * 2 : 16;
		c->entries = realloc(c->entries, c->room * sizeof(*c->entries));
		if (!c->entries)
			die("out of memory");
	}
	c->entries[c->used].key = strdup(key);
	c->entries[c->used++].count = 1;
}

void print_counter(FILE *out, const char *name, const struct counter *c)
{
	fprintf(out, "\"%s\":{", name);
	for (size_t i = 0; i < c->used; i++)
		fprintf(out, "%s\"%s\":%llu", i ? "," : "", c->entries[i].key,
			(unsigned long long)c->entries[i].count);
	fputc('}', out);
}

const char *error_name(int error)
{
	if (error == ERROR_EOF)
		return "EOF";
	if (error == ERROR_PROTOCOL)
		return "EPROTOCOL";
	if (error == ERROR_MISMATCH)
		return "MISMATCH";
	const char *name = strerrorname_np(error);
	return name ? name : "EUNKNOWN";
}

bool json_field(const char *json, const char *name, char *out, size_t room)
{
	char pattern[40];

	snprintf(pattern, sizeof(pattern), "\"%s\":\"", name);
	const char *at = strstr(json, pattern);
	if (!at)
		return false;
	at += strlen(pattern);
	size_t n = strcspn(at, "\"");
	if (!at[n] || n >= room)
		return false;
	memcpy(out, at, n);
	out[n] = 0;
	return true;
}

int open_socket(int type, int protocol, const union sockaddr_any *to,
		const union sockaddr_any *source, uint16_t source_port)
{
	int fd = socket(to->sa.sa_family, type | SOCK_CLOEXEC, protocol), one = 1;

	if (fd < 0)
		return -errno;
	if (source || source_port) {
		union sockaddr_any from = {0};

		if (source)
			from = *source;
		else
			from.sa.sa_family = to->sa.sa_family;
		set_port(&from, source_port);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		/* Without it bind() takes a port before the destination is known: 28,000
		 * connections and out. */
		if (!source_port)
			setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, &from.sa, address_length(&from))) {
			int error = errno;

			close(fd);
			return -error;
		}
	}
	return fd;
}

volatile int stop_requested;

static void on_stop(int signal)
{
	stop_requested = 1;
}

void catch_stop(void)
{
	struct sigaction action = {.sa_handler = on_stop}; /* no SA_RESTART: waits end at once */

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}
