# shellcheck shell=bash
# The checks of scripts/qemu-6.1.sh, in their order. Sourced by the host (names) and by the machine (functions).
CHECKS='doctor load packet cluster-ip node-port agent-clsact sctp'
PACKET_FILES='pod-to-service connections outside-to-node xdp refusal'
export OUT=/run/qemu/out
# Waiting for what must come takes longer there; limits that a test is about stay as they are.
export SHUNT_BOX_PATIENCE=4

# Seconds. An emulated processor is ten to twenty times slower, and may have to share the real one.
limit_of() {
  case $1 in
    doctor) echo 120 ;;
    load) echo 180 ;;
    packet) echo 600 ;;
    *) echo 420 ;;
  esac
}

vitest() {
  node node_modules/vitest/vitest.mjs run --reporter=verbose --reporter=json --outputFile.json="$OUT/$1.json" --project "${@:2}"
}

check_doctor() { bin/shunt doctor -o wide; }

# nf_conntrack's lookups are in a module: with and without it.
check_load() {
  node dist/scripts/qemu/load.js && /run/qemu/modprobe nf_conntrack && echo 'with nf_conntrack:' && node dist/scripts/qemu/load.js
}

# The tests make time pass by making flows older, and nothing is older than the machine.
check_packet() {
  local file files=() up
  read -r up _ </proc/uptime
  [ "${up%.*}" -ge 150 ] || sleep $((150 - ${up%.*}))
  for file in $PACKET_FILES; do files+=("test/packet/$file.test.ts"); done
  vitest packet packet "${files[@]}"
}

check_cluster_ip() { vitest cluster-ip netns test/netns/cluster-ip.test.ts; }
check_node_port() { vitest node-port netns test/netns/node-port.test.ts; }
check_agent_clsact() { vitest agent-clsact netns test/netns/agent-clsact.test.ts; }
check_sctp() { vitest sctp kernel test/kernel/sctp.test.ts; }
