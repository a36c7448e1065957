/* Packets whose L4 checksum is wrong on the wire, from a raw socket: nothing completes or checks
 * them. */
#include "netclient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#define FORGED_CHECKSUM \
	0xbad1 /* the right one depends on the addresses; this fits none that the box uses */

static size_t build_tcp(const struct options *o, uint8_t *packet)
{
	struct tcphdr h = {.source = htons(o->source_port ? o->source_port : 40001),
			   .dest = htons(address_port(&o->to)),
			   .seq = htonl(1),
			   .doff = 5,
			   .syn = 1,
			   .window = htons(1000),
			   .check = htons(FORGED_CHECKSUM)};

	memcpy(packet, &h, sizeof(h));
	return sizeof(h);
}

static size_t build_udp(const struct options *o, uint8_t *packet)
{
	struct udphdr h = {.source = htons(o->source_port ? o->source_port : 40001),
			   .dest = htons(address_port(&o->to)),
			   .len = htons(sizeof(h) + 6),
			   .check = htons(FORGED_CHECKSUM)};

	memcpy(packet, &h, sizeof(h));
	memcpy(packet + sizeof(h), "forged", 6);
	return sizeof(h) + 6;
}

int run_forge(const struct options *o)
{
	union sockaddr_any to = o->to;
	uint8_t packet[64];
	uint64_t sent = 0;
	int fd =
	    socket(to.sa.sa_family, SOCK_RAW | SOCK_CLOEXEC, o->udp ? IPPROTO_UDP : IPPROTO_TCP);

	if (fd < 0)
		die("open a raw socket: %s", strerror(errno));
	if (o->source && bind(fd, &o->source->sa, address_length(o->source)))
		die("bind the source address: %s", strerror(errno));
	size_t length = o->udp ? build_udp(o, packet) : build_tcp(o, packet);
	set_port(&to, 0);
	for (uint64_t i = 0; i < o->count && !stop_requested; i++)
		sent +=
		    sendto(fd, packet, length, 0, &to.sa, address_length(&to)) == (ssize_t)length;
	close(fd);
	printf("{\"mode\":\"forge\",\"sent\":%llu}\n", (unsigned long long)sent);
	return 0;
}
