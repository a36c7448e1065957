#!/usr/bin/env bash
# image-content.sh DIRECTORY: puts what the image holds of Shunt into DIRECTORY, out of a built checkout: the
# compiled agent, the BPF object, the addon, production packages of the lockfile. The only list of it; used by the
# Dockerfile and by build-image.sh.
set -euo pipefail
[ $# = 1 ] || { echo "image-content: name the directory to write to." >&2; exit 2; }
TO=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for product in dist/src/cli/main.js build/bpf/shunt.bpf.o build/native/Release/shunt_native.node; do
  [ -e "$product" ] || { echo "image-content: $product is missing: run 'npm run build' first." >&2; exit 1; }
done

rm -rf "$TO"
mkdir -p "$TO/build/bpf" "$TO/build/native/Release"
cp package.json package-lock.json "$TO"
(cd "$TO" && npm ci --silent --omit=dev --ignore-scripts --no-audit --no-fund --prefer-offline)
# Sources, types and maps of packages are for people who debug them.
find "$TO/node_modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.md' \) -delete
# Headers that only the build of the addon needs.
rm -rf "$TO/node_modules/node-addon-api" "$TO/node_modules/.package-lock.json"
cp -r bin LICENSE* "$TO" 2>/dev/null || cp -r bin "$TO"
(cd dist && find src -name '*.js' -print0 | tar --null -cT - ) | tar -xC "$TO" --one-top-level="$TO/dist"
cp build/bpf/shunt.bpf.o "$TO/build/bpf"
cp build/native/Release/shunt_native.node "$TO/build/native/Release"
