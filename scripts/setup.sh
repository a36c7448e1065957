#!/usr/bin/env bash
# Makes this checkout ready to run: checks the machine, installs what is missing, builds what changed.
# Says nothing but one line when everything is in place. `--check` only checks the machine.
#
# For tests of this script: SHUNT_SETUP_BTF, SHUNT_SETUP_BPFFS and SHUNT_SETUP_MOUNTS replace the
# kernel's paths; programs are replaced through PATH.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BTF=${SHUNT_SETUP_BTF:-/sys/kernel/btf/vmlinux}
BPFFS=${SHUNT_SETUP_BPFFS:-/sys/fs/bpf}
MOUNTS=${SHUNT_SETUP_MOUNTS:-/proc/self/mounts}
LOG=$ROOT/build/setup.log
STAMPS=$ROOT/build/stamps
STARTED=$EPOCHREALTIME
WORKED=0
# A root shell made by plain `su` lacks these, and nft, ip and bpftool live there.
PATH=$PATH:/usr/sbin:/sbin

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

seconds_since() {
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# --- what the machine must be -------------------------------------------------------------------

check_root() {
  [ "$(id -u)" = 0 ] || fail "not root: run this as root (for example with sudo), because loading BPF programs and making network namespaces needs it."
}

check_kernel() {
  local system release major minor
  system=$(uname -s)
  [ "$system" = Linux ] || fail "this is $system, not Linux: use a Linux machine with kernel 6.1 or newer."
  release=$(uname -r)
  IFS=.- read -r major minor _ <<<"$release"
  if ! { [ "$major" -gt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -ge 1 ]; }; } 2>/dev/null; then
    fail "Linux $release is too old: boot a kernel of 6.1 or newer (Debian 12 has 6.1)."
  fi
  [ -r "$BTF" ] || fail "the kernel has no BTF ($BTF is missing): boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's own are."
}

# Makes one map with the real system call: capabilities, seccomp and a kernel without BPF all show here.
check_bpf() {
  local cause
  cause=$(perl -e '
    my %number = (x86_64 => 321, aarch64 => 280, s390x => 351, ppc64le => 361, riscv64 => 280);
    my $bpf = $number{$ARGV[0]} or exit 0;
    my $attr = pack("L4", 2, 4, 4, 1) . "\0" x 112; # BPF_MAP_TYPE_ARRAY, key 4, value 4, one entry
    if (syscall($bpf, 0, $attr, length $attr) < 0) { print "$!"; exit 1 }
  ' "$(uname -m)") || fail "the bpf() system call is refused (${cause:-unknown cause}): run on the machine itself or in a privileged container, with a kernel built with CONFIG_BPF_SYSCALL=y."
}

check_node() {
  local version major minor
  command -v node >/dev/null || fail "Node.js is missing: install Node.js 20.19 or newer (https://nodejs.org)."
  version=$(node --version)
  IFS=. read -r major minor _ <<<"${version#v}"
  if ! { [ "$major" -gt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -ge 19 ]; }; } 2>/dev/null; then
    fail "Node.js $version is too old: install Node.js 20.19 or newer (https://nodejs.org)."
  fi
  command -v npm >/dev/null || fail "npm is missing: install it beside Node.js (https://nodejs.org has both)."
}

# --- Debian packages ----------------------------------------------------------------------------

# package, and the command or the file that shows that its content is there, however it came.
PACKAGES='
clang-14       clang-14
llvm-14        llvm-strip-14
libbpf-dev     /usr/include/bpf/libbpf.h
libelf-dev     /usr/include/libelf.h
zlib1g-dev     /usr/include/zlib.h
linux-libc-dev /usr/include/linux/bpf.h
g++            g++
make           make
cmake          cmake
pkg-config     pkg-config
iproute2       ip
iproute2       tc
util-linux     nsenter
util-linux     flock
procps         sysctl
mount          mount
ethtool        ethtool
tcpdump        tcpdump
nftables       nft
iptables       iptables
conntrack      conntrack
bpftool        bpftool
haproxy        haproxy
'

missing_packages() {
  local package evidence
  while read -r package evidence; do
    case $evidence in
      '') ;;
      /*) [ -e "$evidence" ] || echo "$package" ;;
      *) command -v "$evidence" >/dev/null || echo "$package" ;;
    esac
  done <<<"$PACKAGES" | sort -u
}

check_packages() {
  MISSING=$(missing_packages | tr '\n' ' ')
  MISSING=${MISSING% }
  if [ -n "$MISSING" ] && ! command -v apt-get >/dev/null; then
    fail "missing tools and no apt-get to install them with: install what Debian 12 calls $MISSING."
  fi
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@"
}

apt_update() {
  apt update || { sleep 3; apt update; } || { sleep 10; apt update; }
}

install_packages() {
  [ -n "$MISSING" ] || return 0
  step 'fetching the package lists' "check the network and the entries in /etc/apt" apt_update
  # shellcheck disable=SC2086 # one word per package
  step "installing $MISSING" "install these packages yourself; their names are those of Debian 12" \
    apt install -y --no-install-recommends $MISSING
}

# --- steps and stamps ---------------------------------------------------------------------------

# step TITLE ADVICE COMMAND...: output goes to the log, and to stderr when the command fails.
step() {
  local title=$1 advice=$2 began=$EPOCHREALTIME from
  shift 2
  WORKED=1
  printf 'setup: %s ...\n' "$title"
  printf '\n=== %s\n' "$title" >>"$LOG"
  from=$(wc -c <"$LOG")
  # 9 is the lock: a daemon that a package starts must not inherit it.
  if ! "$@" >>"$LOG" 2>&1 </dev/null 9>&-; then
    tail -c "+$((from + 1))" "$LOG" | tail -n 40 >&2
    fail "$title failed, see above and build/setup.log: $advice."
  fi
  printf 'setup: %s: done in %s s\n' "$title" "$(seconds_since "$began")"
}

# Hash of the contents and names of files and folders.
hash_of() {
  local path present=()
  for path in "$@"; do [ -e "$path" ] && present+=("$path"); done
  [ ${#present[@]} -gt 0 ] || return 0
  find "${present[@]}" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-64
}

# build NAME PRODUCT TITLE COMMAND INPUT...: runs COMMAND when an input changed or PRODUCT is missing.
build() {
  local name=$1 product=$2 title=$3 command=$4 wanted
  shift 4
  wanted="$(hash_of "$@") $ROOT $(node --version)"
  if [ -e "$product" ] && [ "$(cat "$STAMPS/$name" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  rm -f "$STAMPS/$name"
  step "$title" "mend what it names and run this again" "$command"
  [ -e "$product" ] || fail "$title made no $product: look into build/setup.log."
  printf '%s\n' "$wanted" >"$STAMPS/$name"
}

# A CMake cache made for another path (a copied checkout) can't be used again.
forget_foreign_cache() {
  local cache=$1/CMakeCache.txt home=$2
  if [ -e "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$home" "$cache"; then rm -rf "$1"; fi
}

build_bpf() {
  forget_foreign_cache build/bpf "$ROOT/bpf"
  npm run --silent build:bpf
}

build_native() {
  forget_foreign_cache build/native "$ROOT"
  npm run --silent build:native
}

build_box_tools() {
  forget_foreign_cache build/box "$ROOT/box/tools"
  npm run --silent build:box
}

build_typescript() {
  # Without its products, tsc's own record would make it believe that nothing is to do.
  [ -e dist/src/cli/main.js ] || rm -f dist/.tsbuildinfo
  npm run --silent build:ts
}

install_npm_packages() {
  local wanted
  wanted=$(hash_of package-lock.json)
  if [ -x node_modules/.bin/tsc ] && [ "$(cat node_modules/.shunt-lock 2>/dev/null)" = "$wanted" ]; then return 0; fi
  step 'installing npm packages from the lockfile' "check the network and npm's registry setting" \
    npm ci --include=dev --no-audit --no-fund
  printf '%s\n' "$wanted" >node_modules/.shunt-lock
}

mount_bpffs() {
  awk -v at="$BPFFS" '$2 == at && $3 == "bpf" { found = 1 } END { exit !found }' "$MOUNTS" && return 0
  mount -t bpf bpf "$BPFFS" 2>/dev/null ||
    fail "no BPF file system at $BPFFS and it can't be mounted: run \`mount -t bpf bpf $BPFFS\` on the machine itself, or use a privileged container."
}

# --- the whole ----------------------------------------------------------------------------------

check_root
check_kernel
check_bpf
check_node
check_packages
if [ "${1:-}" = --check ]; then
  echo "setup: this machine will do${MISSING:+; to install: $MISSING}"
  exit 0
fi

cd "$ROOT"
mkdir -p "$STAMPS"
exec 9>build/.setup.lock
if ! flock --nonblock 9; then
  echo 'setup: waiting for another set-up of this checkout to end ...'
  flock 9
  check_packages
fi
: >"$LOG"

install_packages
mount_bpffs
install_npm_packages
build bpf build/bpf/shunt.bpf.o 'building the BPF objects' build_bpf bpf bench/bpf
build native build/native/Release/shunt_native.node 'building the addon' build_native \
  native CMakeLists.txt binding.gyp package-lock.json
if [ -e box/tools/CMakeLists.txt ]; then
  build box build/box/podserver 'building the tools of the cluster in a box' build_box_tools box/tools
fi
build typescript dist/src/cli/main.js 'compiling TypeScript' build_typescript \
  src box bench scripts package-lock.json tsconfig.json tsconfig.build.json

if [ "$WORKED" = 0 ]; then
  echo "setup: everything is in place ($(seconds_since "$STARTED") s)"
else
  echo "setup: ready after $(seconds_since "$STARTED") s"
fi
