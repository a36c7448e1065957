#!/bin/sh
# Stands in for `node` where a test process must have network and mount namespaces of its own. The
# pid and the IPC channel stay those of the process that vitest started.
exec unshare --net --mount --propagation private sh -c '
  mount -t bpf bpf /sys/fs/bpf && ip link set lo up && exec "$SHUNT_TEST_NODE" "$@"' sh "$@"
