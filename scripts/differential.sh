#!/usr/bin/env bash
# Compares at least 100,000 generated packets between the programs and the reference of the data path
# (test/support/reference), and writes what it saw to docs/TEST-DIFFERENTIAL.md. Arguments: how many
# packets, a seed (default: a new one each time).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export SHUNT_DIFFERENTIAL_PACKETS=${1:-100000}
export SHUNT_DIFFERENTIAL_SEED=${2:-$((RANDOM * 32768 + RANDOM))}
export SHUNT_DIFFERENTIAL_REPORT=docs/TEST-DIFFERENTIAL.md
exec node_modules/.bin/vitest run --project packet test/packet/differential.test.ts
