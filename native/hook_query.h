#pragma once
#include <napi.h>

// What hangs on the hooks of this network namespace, whoever put it there. Nothing here changes
// anything.

// (ifindex, egress): [{progId, linkId}] in the order of running; throws EINVAL before Linux 6.6.
Napi::Value QueryTcx(const Napi::CallbackInfo& info);
// (cgroupPath, attachType): ids of the programs attached to that very cgroup.
Napi::Value QueryCgroup(const Napi::CallbackInfo& info);
// (ifindex): {native, generic, hardware}, each the id of a program or 0.
Napi::Value QueryXdp(const Napi::CallbackInfo& info);
// (ifindex, egress): [{kind, priority, handle, progId?, name?}] of the clsact or ingress qdisc.
Napi::Value QueryFilters(const Napi::CallbackInfo& info);
// (ifindex): NETDEV_XDP_ACT_* bits that the driver declares; undefined before Linux 6.3.
Napi::Value XdpFeatures(const Napi::CallbackInfo& info);
// [{family, table, name}] of nf_tables, which holds iptables-nft's chains too.
Napi::Value NftChains(const Napi::CallbackInfo& info);
