#!/usr/bin/env bash
# Runs everything that must hold, one part after the other, each within a time limit, and sums up.
# The last line is `N passed, N failed, N skipped`; the exit code is not 0 when anything failed or,
# as root, was skipped. Arguments: names of parts, default all of: types lint unit packet netns.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

RESULTS=build/test
CHILD=
mkdir -p "$RESULTS"
rm -f "$RESULTS"/*.json
[ $# -gt 0 ] || set -- types lint unit packet netns

stop() {
  trap - INT TERM
  [ -n "$CHILD" ] && kill -TERM "$CHILD" 2>/dev/null && wait "$CHILD"
  exit 130
}
trap stop INT TERM

# `timeout` kills the whole group that it makes; in the background so that a signal reaches us.
bounded() {
  timeout --kill-after=15 "$@" </dev/null &
  CHILD=$!
  wait "$CHILD"
  local code=$?
  CHILD=
  return $code
}

vitest() {
  node_modules/.bin/vitest run --project "$1" --reporter=default --reporter=json \
    --outputFile.json="$RESULTS/$1.json"
}
export -f vitest
export RESULTS

DONE=()
for part in "$@"; do
  printf '\n=== %s\n' "$part"
  began=$SECONDS
  case $part in
    types) bounded 240 node_modules/.bin/tsc -p tsconfig.json --noEmit ;;
    lint) bounded 180 bash scripts/lint.sh ;;
    unit) bounded 400 bash -c 'vitest unit' ;;
    packet) bounded 600 bash -c 'vitest packet' ;;
    netns) bounded 1800 bash -c 'vitest netns' ;;
    *)
      echo "test: no part is called $part: use types, lint, unit, packet or netns." >&2
      exit 2
      ;;
  esac
  DONE+=("$part:$?:$((SECONDS - began))")
done

echo
exec node dist/scripts/test-summary.js "$RESULTS" "${DONE[@]}"
