/*
 * sniff --device NAME --write FILE [--filter-file FILE] [--direction in|out]
 *
 * Writes every packet of a device to a pcap file. Unlike tcpdump it takes all that the kernel has
 * queued before it ends on SIGTERM, so that what was sent before is in the file, and keeps packets
 * whole. The filter file is what `tcpdump -ddd` prints. Prints {"event":"listening"} when it does,
 * and at the end {"packets":n,"dropped":n}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define MAX_PACKET  262144
#define QUEUE_BYTES (512 << 20) /* a limit, not memory that is taken */
#define MAGIC_NS    0xa1b23c4dU
#define ETHERNET    1

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snap_length, link_type;
};

struct packet_header {
	uint32_t seconds, nanoseconds, captured, original;
};

static void attach_filter(int fd, const char *path)
{
	FILE *in = fopen(path, "re");
	unsigned int count, code, jt, jf, k;

	if (!in || fscanf(in, "%u", &count) != 1 || count > BPF_MAXINSNS)
		die("read the filter %s: not what tcpdump -ddd prints", path);
	struct sock_filter *program = calloc(count, sizeof(*program));
	for (unsigned int i = 0; i < count; i++) {
		if (fscanf(in, "%u %u %u %u", &code, &jt, &jf, &k) != 4)
			die("read the filter %s: line %u is cut", path, i + 2);
		program[i] = (struct sock_filter){code, jt, jf, k};
	}
	fclose(in);
	struct sock_fprog filter = {count, program};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		die("attach the filter: %s", strerror(errno));
	free(program);
}

static int open_packet_socket(const char *device, const char *filter)
{
	struct sockaddr_ll where = {.sll_family = AF_PACKET,
				    .sll_protocol = htons(ETH_P_ALL),
				    .sll_ifindex = if_nametoindex(device)};
	int size = QUEUE_BYTES, one = 1;
	/* Protocol 0: nothing arrives before the filter is on and the device chosen. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("open a packet socket: %s", strerror(errno));
	if (!where.sll_ifindex)
		die("find %s: %s", device, strerror(errno));
	if (filter)
		attach_filter(fd, filter);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&where, sizeof(where)))
		die("listen on %s: %s", device, strerror(errno));
	return fd;
}

/* 1: a packet was there, 0: none is waiting. */
static int take_packet(int fd, FILE *out, int direction, uint64_t *packets)
{
	static uint8_t data[MAX_PACKET];
	char control[128];
	struct sockaddr_ll from;
	struct iovec part = {data, sizeof(data)};
	struct msghdr message = {.msg_name = &from,
				 .msg_namelen = sizeof(from),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct timespec time = {0};
	ssize_t n = recvmsg(fd, &message, MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		die("receive: %s", strerror(errno));
	if (direction && (from.sll_pkttype == PACKET_OUTGOING) != (direction == 'o'))
		return 1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS)
			memcpy(&time, CMSG_DATA(c), sizeof(time));
	}
	size_t captured = (size_t)n < sizeof(data) ? (size_t)n : sizeof(data);
	struct packet_header header = {time.tv_sec, time.tv_nsec, captured, n};
	if (fwrite(&header, sizeof(header), 1, out) != 1 ||
	    fwrite(data, 1, captured, out) != captured)
		die("write the capture: %s", strerror(errno));
	++*packets;
	return 1;
}

int main(int argc, char **argv)
{
	const char *device = NULL, *path = NULL, *filter = NULL;
	int direction = 0;
	uint64_t packets = 0;

	for (int i = 1; i < argc; i += 2) {
		const char *value = argv[i + 1];

		if (!value)
			die("%s needs a value", argv[i]);
		if (!strcmp(argv[i], "--device"))
			device = value;
		else if (!strcmp(argv[i], "--write"))
			path = value;
		else if (!strcmp(argv[i], "--filter-file"))
			filter = value;
		else if (!strcmp(argv[i], "--direction"))
			direction = value[0];
		else
			die("unknown flag %s", argv[i]);
	}
	if (!device || !path)
		die("needs --device and --write");
	int fd = open_packet_socket(device, filter);
	FILE *out = fopen(path, "we");
	struct file_header header = {MAGIC_NS, 2, 4, 0, 0, MAX_PACKET, ETHERNET};
	if (!out || fwrite(&header, sizeof(header), 1, out) != 1)
		die("write %s: %s", path, strerror(errno));
	catch_stop();
	puts("{\"event\":\"listening\"}");
	fflush(stdout);
	while (!stop_requested) {
		/* Not for ever: a signal between the check and poll() must not be slept through. */
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, 50) > 0)
			for (int i = 0; i < 1024 && take_packet(fd, out, direction, &packets); i++)
				;
	}
	/* What is queued now was sent before the stop; what goes on arriving must not keep us here.
	 */
	uint64_t end = now_ns() + 5000000000ULL;
	while (now_ns() < end && take_packet(fd, out, direction, &packets))
		;
	struct tpacket_stats stats = {0};
	socklen_t length = sizeof(stats);
	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length);
	if (fclose(out))
		die("write %s: %s", path, strerror(errno));
	printf("{\"packets\":%llu,\"dropped\":%u}\n", (unsigned long long)packets, stats.tp_drops);
	return 0;
}
