#!/usr/bin/env bash
# Formats the C and C++ files in place; with --check only says which differ. Another major version
# formats differently, so only clang-format 14 (that of Debian 12) is used; it is optional.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v clang-format-14 >/dev/null; then
  echo 'clang-format-14 is not installed: C and C++ formatting was not looked at.'
  exit 0
fi
mapfile -d '' files < <(find bpf native box bench \( -name '*.[ch]' -o -name '*.cc' \) -print0 2>/dev/null)
[ ${#files[@]} -gt 0 ] || exit 0
if [ "${1:-}" = --check ]; then
  clang-format-14 --dry-run -Werror "${files[@]}"
else
  clang-format-14 -i "${files[@]}"
fi
