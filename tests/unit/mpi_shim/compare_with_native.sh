#!/bin/bash
# compare_with_native.sh SHIM PROGRAM...: runs the program on 4 ranks natively,
# under the shim, and under the shim in a job that is not checkpointed. Each rank
# writes PREFIX.RANK (the last argument is the prefix); all must be the same.
set -u
shim=$1
shift
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mpi=(timeout 90 mpirun --oversubscribe --mca mpi_yield_when_idle 1 -n 4)

run() { # NAME OPTIONS... -- runs with these options, output to files NAME.RANK
  local name=$1
  shift
  "${mpi[@]}" "$@" "${program[@]}" "$work/$name" > "$work/log.$name" 2>&1 && return
  echo "$name: exit status $?"
  head -50 "$work/log.$name"
  exit 1
}

program=("$@")
run native
# The socket need not exist: then there are no checkpoints, but the lower half is in use.
run shim -x "LD_PRELOAD=$shim" -x CKPT_AGENT_SOCKET="$work/no-agent" -x CKPT_CACHE_DIR="$work/cache"
run uncheckpointed -x "LD_PRELOAD=$shim"
different=0
for rank in 0 1 2 3; do
  test -s "$work/native.$rank" || { echo "rank $rank said nothing"; exit 1; }
  for name in shim uncheckpointed; do
    diff "$work/native.$rank" "$work/$name.$rank" || different=1
  done
done
exit $different
