// SPDX-License-Identifier: GPL-2.0
/* One object with every program and map, so that they share one BTF and one load. */
#include "abi/anchors.h"
#include "hooks/tc.h"
#include "hooks/xdp.h"
#include "hooks/sock.h"
#include "hooks/twin.h"

const volatile struct abi_anchors abi_anchors = {};

char _license[] SEC("license") = "GPL";
