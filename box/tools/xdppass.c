/*
 * xdppass DEVICE...
 *
 * Attaches an XDP program that passes everything to devices of this network namespace, for as long
 * as they live.
 *
 * Why: a veth puts what its program sends by XDP_TX into the ring of its peer, but wakes the peer
 * only if that one has an XDP program itself (veth_xdp_flush in the kernel). GRO gives the peer the
 * ring and not the wake-up: the packets then lie there until other traffic comes along, up to for
 * ever.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tool.h"

static int load_pass(void)
{
	struct bpf_insn program[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uint64_t)(uintptr_t) "GPL";
	attr.prog_flags = BPF_F_XDP_HAS_FRAGS; /* else an MTU above one page is refused */
	strcpy(attr.prog_name, "box_pass");
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		die("load the program: %s", strerror(errno));
	return fd;
}

static void attach(int netlink_fd, const char *device, int program_fd)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
		struct rtattr xdp;
		struct rtattr fd_header;
		int32_t fd;
		struct rtattr flags_header;
		uint32_t flags;
	} request = {
	    .header = {.nlmsg_len = sizeof(request),
		       .nlmsg_type = RTM_SETLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	    .link = {.ifi_index = if_nametoindex(device)},
	    .xdp = {.rta_len = 4 + 8 + 8, .rta_type = IFLA_XDP | NLA_F_NESTED},
	    .fd_header = {.rta_len = 8, .rta_type = IFLA_XDP_FD},
	    .fd = program_fd,
	    .flags_header = {.rta_len = 8, .rta_type = IFLA_XDP_FLAGS},
	    .flags = XDP_FLAGS_DRV_MODE,
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer;

	if (!request.link.ifi_index)
		die("find %s: %s", device, strerror(errno));
	if (send(netlink_fd, &request, sizeof(request), 0) < 0 ||
	    recv(netlink_fd, &answer, sizeof(answer), 0) < 0)
		die("attach to %s: %s", device, strerror(errno));
	if (answer.error.error)
		die("attach to %s: %s", device, strerror(-answer.error.error));
}

int main(int argc, char **argv)
{
	int netlink_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (netlink_fd < 0)
		die("open netlink: %s", strerror(errno));
	if (argc < 2)
		die("needs the names of devices");
	int program_fd = load_pass();
	for (int i = 1; i < argc; i++)
		attach(netlink_fd, argv[i], program_fd);
	return 0;
}
