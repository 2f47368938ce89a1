#!/bin/bash
# run.sh PROGRAM CORPUS SECONDS: lets libFuzzer look for inputs that break PROGRAM.
# What it finds lies where it runs, as crash-... or timeout-...; the corpus stays
# as it is (new inputs go to a folder beside the program). The seed is fixed, so that
# a short run finds today what it found yesterday.
set -euo pipefail
program=$1 corpus=$2 seconds=$3
found=$program.corpus
mkdir -p "$found"
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1
exec "$program" "$found" "$corpus" -seed=1 -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
  -max_len=65536 -print_final_stats=1 -artifact_prefix="$found-"
