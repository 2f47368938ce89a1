#!/bin/bash
# Shows the whole path on this machine: builds, runs a 4-rank MPI job, takes a
# checkpoint with messages in flight, kills everything with -9, restarts, and
# compares the result with that of an undisturbed run.
#
#   tests/demo.sh
#
# Installs missing packages as root or with sudo.
set -euo pipefail
# shellcheck source=tests/prepare.sh
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"
prepare

work=$(mktemp -d)
export CKPT_DIR=$work/checkpoints OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export CKPT_DEMO_TOKEN=$$.$RANDOM
coord=$BUILD/bin/ckpt-coord
job=(mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -n 4
  "$BUILD/tests/mpi/bin/stencil" 768 12000)

# Every process of the demonstration and none else: they have its token.
own_processes() {
  local environ
  for environ in /proc/[0-9]*/environ; do
    if grep -qzx "CKPT_DEMO_TOKEN=$CKPT_DEMO_TOKEN" "$environ" 2>/dev/null; then
      environ=${environ#/proc/}
      echo "${environ%/environ}"
    fi
  done
}

# The shell has the token only in what it starts; its own subshells come and go.
kill_job() {
  local pid
  for _ in 1 2 3; do
    for pid in $(own_processes); do
      case $(readlink "/proc/$pid/exe") in */bash) continue ;; esac
      kill -9 "$pid" 2>/dev/null || true
    done
  done
}
trap 'kill_job; rm -rf "$work"' EXIT

say "1. an undisturbed run"
begin=$SECONDS
expected=$("${job[@]}" | grep '^RESULT')
echo "$expected   ($((SECONDS - begin)) s)"

say "2. the same under ckpt-coord"
echo "\$ ckpt-coord run --job demo -- ${job[*]##*/}"
"$coord" run --job demo -- "${job[@]}" >"$work/first.out" 2>"$work/first.err" &
first=$!
until "$coord" status demo --json 2>/dev/null | grep -Eq '"ready": ?true'; do
  kill -0 $first 2>/dev/null || { cat "$work"/first.*; echo "the job ended early" >&2; exit 1; }
  sleep 0.1
done
sleep 1.5 # let it compute for a moment

say "3. a checkpoint in mid-flight"
echo "\$ ckpt-coord checkpoint demo"
"$coord" checkpoint demo
"$coord" list demo

say "4. kill -9 to mpirun, ranks, coordinator and agent"
kill_job
wait $first 2>/dev/null || echo "the job is dead"

say "5. restart"
echo "\$ ckpt-coord restart demo"
got=$("$coord" restart demo | grep '^RESULT' | tail -n 1)
echo "$got"

if [ "$got" = "$expected" ]; then
  say "the results agree"
else
  say "THE RESULTS DIFFER"
  exit 1
fi
