#!/usr/bin/env bash
# Builds the agent's image on Debian 12 as root, without a registry or a Docker engine: Debian packages by
# mmdebstrap from the machine's own apt sources, Shunt from this checkout, put together by buildah.
# Result: build/image/shunt.tar, an OCI archive (skopeo, podman load and ctr images import take it).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
OUT=$PWD/build/image
BASE=$OUT/base.tar
WORK=$OUT/work
STORE=(--root "$OUT/storage" --runroot "$OUT/run" --storage-driver vfs)

fail() {
  printf 'build-image: %s\n' "$*" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail 'not root: run this as root, because mmdebstrap and buildah make files of other owners.'
# shellcheck source=/dev/null
. /etc/os-release
[ "${VERSION_CODENAME:-}" = bookworm ] || fail "this is ${PRETTY_NAME:-no Debian}, not Debian 12: build with \`docker build .\` instead."

missing=()
# runc is what the image's test runs it with.
for tool in mmdebstrap buildah runc; do command -v "$tool" >/dev/null || missing+=("$tool"); done
if [ ${#missing[@]} -gt 0 ]; then
  apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >&2; }
  { apt update && apt install -y --no-install-recommends "${missing[@]}"; } ||
    fail "${missing[*]} can't be installed: check the entries in /etc/apt, or build with \`docker build .\`."
fi
[ -e dist/src/cli/main.js ] && [ -e build/bpf/shunt.bpf.o ] && [ -e build/native/Release/shunt_native.node ] ||
  bash scripts/setup.sh

mkdir -p "$OUT"
rm -rf "$WORK"
mkdir -p "$WORK"
trap 'rm -rf "$WORK"' EXIT

packages=$(paste -sd, deploy/image/packages)
# Debian security updates reach the image when its base is a day old.
if [ ! -e "$BASE" ] || [ "$(cat "$BASE.packages" 2>/dev/null)" != "$packages" ] || [ -n "$(find "$BASE" -mtime +0)" ]; then
  # No host is named here: apt's own entries are used. `extract` installs nothing that needs a maintainer script.
  mmdebstrap --quiet --variant=extract --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -rf "$1"/var/cache/* "$1"/var/lib/apt "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/etc/apt' \
    bookworm "$OUT/base.new.tar" || fail 'mmdebstrap failed, see above: check the entries in /etc/apt.'
  mv "$OUT/base.new.tar" "$BASE"
  printf '%s' "$packages" >"$BASE.packages"
fi

root=$WORK/rootfs
mkdir "$root"
tar -xf "$BASE" -C "$root" --exclude='./dev/*'
bash scripts/image-content.sh "$root/opt/shunt"
install -D -m 755 "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
# bin/shunt begins with `env node`, ipvsadm-save with `cat`; all of coreutils would be too much.
for tool in env cat; do install -D -m 755 "/usr/bin/$tool" "$root/usr/bin/$tool"; done
mkdir -p "$root"/{proc,sys,dev,tmp,run} "$root/host/cgroup"
chown -R 0:0 "$root/opt"
env -i "$(command -v chroot)" "$root" /usr/local/bin/node -e 'process.dlopen({ exports: {} }, "/opt/shunt/build/native/Release/shunt_native.node")' ||
  fail 'node or the addon does not load inside the image: a package is missing in deploy/image/packages.'
env -i PATH=/usr/local/bin:/usr/bin "$(command -v chroot)" "$root" /opt/shunt/bin/shunt --version >/dev/null || fail 'shunt does not start inside the image.'
# What `shunt takeover` runs.
for tool in iptables-nft-save iptables-legacy-save nft ipset ipvsadm conntrack ip; do
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$(command -v chroot)" "$root" /bin/bash -c "command -v $tool" >/dev/null ||
    fail "$tool is not in the image: its package is missing in deploy/image/packages."
done

version=$(node -p 'JSON.parse(require("fs").readFileSync("package.json", "utf8")).version')
container=$(buildah "${STORE[@]}" from --isolation chroot scratch)
buildah "${STORE[@]}" add --quiet "$container" "$root" / >/dev/null
buildah "${STORE[@]}" config --os linux --entrypoint '["/opt/shunt/bin/shunt"]' --cmd agent \
  --env NODE_ENV=production \
  --env PATH=/opt/shunt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  --label org.opencontainers.image.title=shunt --label org.opencontainers.image.licenses=Apache-2.0 \
  --label "org.opencontainers.image.version=$version" "$container"
rm -f "$OUT/shunt.tar.new"
buildah "${STORE[@]}" commit --quiet --rm --format oci --disable-compression=false "$container" "oci-archive:$OUT/shunt.tar.new:shunt:$version" >/dev/null
mv "$OUT/shunt.tar.new" "$OUT/shunt.tar"
rm -rf "$OUT/storage" "$OUT/run"
printf 'build-image: build/image/shunt.tar, %s packed, %s unpacked\n' \
  "$(du -h "$OUT/shunt.tar" | cut -f1)" "$(du -sh "$root" | cut -f1)"
