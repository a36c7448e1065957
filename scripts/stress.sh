#!/usr/bin/env bash
# stress.sh N [FILE...]: runs the end-to-end tests (or the named files of test/netns) N times as npm test does,
# and reports every failure. Ends with 0 when all runs were green. Logs: build/stress/.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=${1:-10}
shift || true
case $runs in
  '' | *[!0-9]* | 0)
    echo "stress: '$runs' is no number of runs: use scripts/stress.sh N [FILE...]." >&2
    exit 2
    ;;
esac

bash scripts/setup.sh || exit

LOGS=build/stress
CHILD=
rm -rf "$LOGS"
mkdir -p "$LOGS"

stop() {
  trap - INT TERM
  [ -n "$CHILD" ] && kill -TERM "$CHILD" 2>/dev/null && wait "$CHILD"
  exit 130
}
trap stop INT TERM

green=0
began=$SECONDS
for ((run = 1; run <= runs; run++)); do
  from=$SECONDS
  log=$LOGS/run-$run.log
  # `timeout` makes a group of its own and ends all of it.
  NO_COLOR=1 timeout --kill-after=15 1200 node_modules/.bin/vitest run --project netns "$@" >"$log" 2>&1 </dev/null &
  CHILD=$!
  wait "$CHILD"
  code=$?
  CHILD=
  if [ "$code" = 0 ]; then
    green=$((green + 1))
    echo "run $run of $runs: green, $((SECONDS - from)) s"
  else
    echo "run $run of $runs: FAILED (code $code), $((SECONDS - from)) s, see $log"
    grep -E '^ *FAIL ' "$log" | sort -u | sed 's/^ */  /'
  fi
done
echo "$green of $runs runs green, $((SECONDS - began)) s"
[ "$green" = "$runs" ]
