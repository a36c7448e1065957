/*
 * tunnel DEVICE --local ADDRESS:PORT (--to CIDR=ADDRESS:PORT)...
 *
 * Carries the packets of a tun device, which have no Ethernet header, to other nodes in UDP: as
 * flannel's udp backend does it, and like WireGuard and IPIP for everything above. The device must
 * exist (ip tuntap add dev DEVICE mode tun). Runs until it is ended.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tool.h"

#define PEERS 16
#define BURST 64

struct peer {
	union sockaddr_any prefix; /* port 0 */
	unsigned bits;
	union sockaddr_any to;
};

static struct peer peers[PEERS];
static size_t peer_count;

static void add_peer(char *text)
{
	char *slash = strchr(text, '/'), *equals = strchr(text, '=');
	struct peer *p = &peers[peer_count];

	if (!slash || !equals || slash > equals || peer_count == PEERS)
		die("read --to %s: give CIDR=ADDRESS:PORT, at most %d times", text, PEERS);
	*slash = *equals = 0;
	p->prefix = parse_address(text);
	p->bits = parse_number(slash + 1, "prefix length", 0,
			       p->prefix.sa.sa_family == AF_INET ? 32 : 128);
	p->to = parse_endpoint(equals + 1);
	peer_count++;
}

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(address, prefix, bits / 8))
		return false;
	return !rest || !((address[bits / 8] ^ prefix[bits / 8]) >> (8 - rest));
}

/* Where a packet goes by its destination; NULL: nowhere. */
static const struct peer *find_peer(const uint8_t *packet, size_t length)
{
	int family = length >= 20 && packet[0] >> 4 == 4 ? AF_INET :
		     length >= 40 && packet[0] >> 4 == 6 ? AF_INET6 :
							   AF_UNSPEC;

	for (size_t i = 0; i < peer_count; i++) {
		struct peer *p = &peers[i];

		if (p->prefix.sa.sa_family != family)
			continue;
		if (family == AF_INET ?
			has_prefix(packet + 16, (void *)&p->prefix.v4.sin_addr, p->bits) :
			has_prefix(packet + 24, (void *)&p->prefix.v6.sin6_addr, p->bits))
			return p;
	}
	return NULL;
}

static int open_tun(const char *device)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (fd < 0)
		die("open /dev/net/tun: %s", strerror(errno));
	if (strlen(device) >= IFNAMSIZ)
		die("open %s: the name is too long", device);
	strcpy(request.ifr_name, device);
	if (ioctl(fd, TUNSETIFF, &request))
		die("open %s: %s", device, strerror(errno));
	return fd;
}

static int bind_socket(const union sockaddr_any *local)
{
	int fd = socket(local->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int bytes = 4 << 20;

	if (fd < 0 || bind(fd, &local->sa, address_length(local)))
		die("bind: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

int main(int argc, char **argv)
{
	static uint8_t packet[65536];
	union sockaddr_any local = {};
	int i;

	for (i = 2; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--local"))
			local = parse_endpoint(argv[i + 1]);
		else if (!strcmp(argv[i], "--to"))
			add_peer(argv[i + 1]);
		else
			die("read %s: no such option", argv[i]);
	}
	if (argc < 2 || i != argc || !local.sa.sa_family)
		die("give DEVICE --local ADDRESS:PORT (--to CIDR=ADDRESS:PORT)...");

	int tun = open_tun(argv[1]), udp = bind_socket(&local);
	struct pollfd ready[] = {{.fd = tun, .events = POLLIN}, {.fd = udp, .events = POLLIN}};

	printf("{\"event\":\"ready\"}\n");
	fflush(stdout);
	while (poll(ready, 2, -1) >= 0 || errno == EINTR) {
		for (int n = 0; n < BURST; n++) {
			ssize_t length = read(tun, packet, sizeof(packet));
			const struct peer *p = length > 0 ? find_peer(packet, length) : NULL;

			if (length <= 0)
				break;
			if (p)
				sendto(udp, packet, length, 0, &p->to.sa, address_length(&p->to));
		}
		for (int n = 0; n < BURST; n++) {
			ssize_t length = recv(udp, packet, sizeof(packet), 0);

			if (length <= 0)
				break;
			/* A device that is down, or a packet that is none: nobody waits for it. */
			if (write(tun, packet, length) < 0 && errno == EBADF)
				die("write to %s: %s", argv[1], strerror(errno));
		}
	}
	die("poll: %s", strerror(errno));
}
