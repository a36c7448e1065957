#!/usr/bin/env bash
# Format and lint of everything: Biome for TypeScript and JSON, clang-format for C and C++.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bad=0
node_modules/.bin/biome check --error-on-warnings . || bad=1
bash scripts/clang-format.sh --check || bad=1
exit $bad
