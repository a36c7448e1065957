#!/usr/bin/env bash
# Inside the virtual machine of scripts/qemu-6.1.sh: runs the checks of scripts/qemu/checks.sh one after the other, each within
# its limit, and switches the machine off. What each printed and how it ended is left in /run/qemu/out.
set -uo pipefail
REPO=$1
OUT=/run/qemu/out
PATH=$(cat "$OUT/node"):/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH HOME=/tmp TERM=dumb NO_COLOR=1 CI=1

# Whatever happens; what OUT does not tell then did not happen.
finish() {
  sync
  echo o >/proc/sysrq-trigger
  sleep 60
}
trap finish EXIT

cd "$REPO" || exit
uname -r >"$OUT/kernel"
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 kernel.panic=1
. scripts/qemu/checks.sh

for name in $(cat "$OUT/wanted"); do
  printf '\n=== %s\n' "$name"
  began=$SECONDS
  limit=$(limit_of "$name")
  # `timeout` starts a program, not a function.
  timeout --kill-after=10 "$limit" bash -c '. scripts/qemu/checks.sh; "$@"' sh "check_${name//-/_}" 2>&1 </dev/null |
    tee "$OUT/$name.log"
  code=${PIPESTATUS[0]}
  printf '=== %s: code %s, %s s\n' "$name" "$code" $((SECONDS - began))
  printf '%s %s %s\n' "$name" "$code" $((SECONDS - began)) >>"$OUT/results"
done
dmesg --level=emerg,alert,crit,err,warn >"$OUT/dmesg.log" 2>&1
