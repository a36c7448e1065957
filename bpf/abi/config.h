/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "addr.h"

enum lb_device_class {
	DEVICE_POD = 1,     /* veth into another network namespace, or a bridge port */
	DEVICE_OVERLAY = 2, /* vxlan, geneve, ... */
	DEVICE_UPLINK = 3,
	DEVICE_BRIDGE = 4, /* a bridge whose ports are pod devices */
	DEVICE_LOOPBACK = 5,
	DEVICE_LAYER3 = 6, /* an overlay or uplink without Ethernet header */
};

struct lb_device {
	__u32 class_; /* enum lb_device_class */
	__u32 mtu;
	__u32 netns;  /* a pod's: the kernel's id for its network namespace, plus 1; 0: not known */
	__u32 bridge; /* a pod's: ifindex of the bridge that it is a port of; 0: none */
	__u8 mac[6];  /* its own; zero: it has none */
	__u8 pad[2];
};

struct snat_source_key {
	__u32 ifindex; /* 0: the Node's InternalIP, used where a device has no address */
	__u32 family;  /* 4 or 6 */
};

struct snat_source {
	struct lb_addr addr;
};

/* The one word set that changes while programs run; lb_config[0], mmapped. */
struct lb_config {
	__u64 fib_generation;    /* raised on route, neighbour and link events */
	__u64 takeover_until_ns; /* CLOCK_MONOTONIC: hand unknown non-SYN up until then */
	__u64 agent_seen_ns;     /* CLOCK_MONOTONIC: the agent's heartbeat */
	__u64 layout_version;
	__u64 drain; /* enum drain; not 0: begin no flow, those that exist go on */
};

enum drain {
	DRAIN_NO = 0,
	DRAIN_OPERATOR = 1,  /* shunt takeover --undo */
	DRAIN_FILLING = 2,   /* the agent's tables are not complete yet */
	DRAIN_HAND_OVER = 3, /* about to be detached: UDP goes up, answers are restored */
};

/* Names for people, so that the CLI needs no agent: NUL-padded UTF-8. */
struct meta_service {
	char namespace_[64];
	char name[64];
	char port_name[64];
	__u8 family; /* 4 or 6 */
	__u8 proto;
	__u16 affinity; /* 1: ClientIP */
	__u32 affinity_timeout_s;
};

struct meta_locality {
	char node_name[256];
	char zone[64];
};

_Static_assert(sizeof(struct lb_config) == 40, "mmapped");
_Static_assert(sizeof(struct meta_service) == 200, "layout");
_Static_assert(sizeof(struct meta_locality) == 320, "layout");
