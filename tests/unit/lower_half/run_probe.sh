#!/usr/bin/env bash
# run_probe.sh TRANSPORT PROBE PARTS_DIR: four ranks through the lower half.
set -euo pipefail
transport=$1 probe=$2 parts=$3
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
case $transport in
  vader) options=(--mca pml ob1 --mca btl self,vader) ;;
  tcp) options=(--mca pml ob1 --mca btl self,tcp --mca btl_tcp_if_include lo) ;;
  ucx) options=(--mca pml ucx --mca pml_ucx_tls any --mca pml_ucx_devices any -x UCX_TLS=self,sm,tcp) ;;
esac
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export LOWER_HALF_CACHE=$cache/copies LOWER_HALF_PARTS=$parts
out=$(mpirun --oversubscribe --mca mpi_yield_when_idle 1 "${options[@]}" -n 4 "$probe")
echo "$out"
[ "$(grep -c '^rank [0-9]: OK' <<<"$out")" -eq 4 ]
