#!/usr/bin/env bash
# The quick look before a commit: format, lint, types, generated files, unit tests. Needs no root,
# but the BPF object and the compiled TypeScript (`npm run build`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/lint.sh
node_modules/.bin/tsc -p tsconfig.json --noEmit
npm run --silent build:ts
npm run --silent gen
git diff --exit-code -- src/abi/generated.ts ||
  { echo 'check: src/abi/generated.ts did not match the BPF object; it has been written anew: commit it.' >&2; exit 1; }
node_modules/.bin/vitest run --project unit
