/* What the traffic tools share: addresses, time, the deterministic byte stream, its hash, JSON
 * counters. */
#ifndef BOX_TOOL_H
#define BOX_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/socket.h>

union sockaddr_any {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

#define ADDRESS_TEXT 64 /* room for "[" + the longest IPv6 text + "]:65535" */

/* Prints "<program>: <text>" and ends with exit code 2: wrong use, or a machine that cannot run the
 * tool. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* "10.0.0.1:80" or "[fd00::1]:80"; dies on anything else. */
union sockaddr_any parse_endpoint(const char *text);
/* An address without port (port 0). */
union sockaddr_any parse_address(const char *text);
uint64_t parse_number(const char *text, const char *what, uint64_t min, uint64_t max);

socklen_t address_length(const union sockaddr_any *a);
uint16_t address_port(const union sockaddr_any *a);
void set_port(union sockaddr_any *a, uint16_t port);
/* Canonical text; a v4-mapped IPv6 address is written as IPv4. */
void format_address(const union sockaddr_any *a, char out[ADDRESS_TEXT]);
/* "10.0.0.1:80" or "[fd00::1]:80". */
void format_endpoint(const union sockaddr_any *a, char out[ADDRESS_TEXT]);

/* Byte `offset` of the stream depends on nothing but `offset`, so that both sides know what must
 * arrive. */
void fill_stream(uint8_t *out, size_t length, uint64_t offset);

#define HASH_START 0xcbf29ce484222325ULL
/* FNV-1a, 64 bits: finds lost, doubled, swapped and altered bytes. */
uint64_t hash_bytes(uint64_t hash, const uint8_t *data, size_t length);
/* Hash of the first `length` bytes of the stream. */
uint64_t hash_stream(uint64_t length);

/* Counts by text; written as a JSON object. Grows as needed, insertion order. */
struct counter {
	struct counter_entry {
		char *key;
		uint64_t count;
	} * entries;
	size_t used, room;
};
void count_key(struct counter *c, const char *key);
void print_counter(FILE *out, const char *name, const struct counter *c);

/* "ECONNREFUSED" for ECONNREFUSED; ERROR_EOF for a connection that the peer closed too early. */
#define ERROR_EOF      100001
#define ERROR_PROTOCOL 100002
#define ERROR_MISMATCH 100003
const char *error_name(int error);

/* Text of a string field of the server's one-line JSON; false when it is not there. */
bool json_field(const char *json, const char *name, char *out, size_t room);

/* A stream or datagram socket bound to source (may be NULL) with optional source port (0: any).
 * protocol: 0 for TCP and UDP. -errno on failure. */
int open_socket(int type, int protocol, const union sockaddr_any *to,
		const union sockaddr_any *source, uint16_t source_port);

/* Set by SIGINT and SIGTERM once catch_stop() was called: finish and report. */
extern volatile int stop_requested;
void catch_stop(void);

#endif
