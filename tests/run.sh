#!/bin/bash
# All tests: unit tests (ctest), then end-to-end on real MPI jobs, on this
# machine and on a small cluster of namespaces.
#
#   tests/run.sh            a fair selection, some forty minutes at most
#   tests/run.sh --quick    a few minutes
#   tests/run.sh --all      every case, every round: hours
#   tests/run.sh --no-build use the build that is there
#
# The last line is "N passed, N failed, N skipped"; the exit status is 0 only
# when nothing failed. Installs missing packages as root or with sudo.
set -u
# shellcheck source=tests/prepare.sh
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

selection=() build=yes limited=yes
for option in "$@"; do
  case $option in
    --quick) selection=(--quick) ;;
    --all) selection=(--all) limited= ;;
    --no-build) build=no ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "tests/run.sh: unknown option $option" >&2; exit 2 ;;
  esac
done

set -e
install_missing
mkdir -p "$(dirname "$BUILD")"
[ $build = no ] || build_all
set +e

counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
status=0

say "unit tests"
ctest --test-dir "$BUILD" --output-on-failure --timeout 300 -j "$(nproc)" 2>&1 | tee "$counts"
[ "${PIPESTATUS[0]}" = 0 ] || status=1
unit_failed=$(sed -n 's/.*tests passed, \([0-9]*\) tests failed out of \([0-9]*\).*/\1/p' "$counts")
unit_total=$(sed -n 's/.*tests failed out of \([0-9]*\).*/\1/p' "$counts")
unit_skipped=$(grep -cE '\*\*\*(Skipped|Not Run)' "$counts")
: "${unit_failed:=0}" "${unit_total:=0}"
if [ "$unit_total" = 0 ]; then
  echo "no unit test was run" >&2
  status=1 unit_failed=1 unit_total=1
fi

passed=$((unit_total - unit_failed - unit_skipped)) failed=$unit_failed skipped=$unit_skipped

# libFuzzer looks for a few seconds into each parser; the corpus itself was among
# the unit tests.
fuzz() {
  local fuzz_build=${BUILD%/*}/fuzz
  say "fuzzing"
  if ! command -v clang++ >/dev/null; then
    echo "SKIPPED fuzzing: there is no clang++"
    skipped=$((skipped + 1))
    return
  fi
  if ! { cmake -S "$SOURCE" --preset fuzz -B "$fuzz_build" &&
    cmake --build "$fuzz_build" --target fuzz_targets; } >"$fuzz_build.log" 2>&1; then
    tail -n 40 "$fuzz_build.log" >&2
    failed=$((failed + 1)) status=1
    return
  fi
  ctest --test-dir "$fuzz_build" -R '^fuzz\.run' --output-on-failure 2>&1 | tee "$counts"
  [ "${PIPESTATUS[0]}" = 0 ] || status=1
  local f n
  read -r f n < <(sed -n 's/.*tests passed, \([0-9]*\) tests failed out of \([0-9]*\).*/\1 \2/p' "$counts")
  passed=$((passed + ${n:-0} - ${f:-0})) failed=$((failed + ${f:-0}))
}
case " ${selection[*]-} " in *" --quick "*) ;; *) fuzz ;; esac

# The biggest job that is simulated takes minutes: not among the unit tests.
largest() {
  say "4,096 nodes of 128 ranks, simulated"
  if "$BUILD/tests/simulation/scale_simulation" --largest; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)) status=1
  fi
}
case " ${selection[*]-} " in *" --all "*) largest ;; esac
# As many agents as the biggest jobs have; ctest had 200.
many_agents() {
  say "2,000 agents"
  "$BUILD/tests/scale/many_agents_test" "$BUILD/bin/ckpt-coord" --agents 2000
  case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) status=1 ;;
  esac
}
case " ${selection[*]-} " in *" --all "*) many_agents ;; esac

# end_to_end TITLE HARNESS LIMIT: runs a harness and adds what it counted.
end_to_end() {
  local p f s
  say "$1"
  /usr/bin/python3 "$SOURCE/tests/$2" --build "$BUILD" ${selection[@]+"${selection[@]}"} \
    ${limited:+--limit "$3"} 2>&1 | tee "$counts"
  [ "${PIPESTATUS[0]}" = 0 ] || status=1
  read -r p f s < <(sed -nE \
    's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$counts" | tail -n 1)
  if [ -z "${p:-}" ]; then
    echo "$2 gave no result" >&2
    p=0 f=1 s=0 status=1
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}
end_to_end "end to end" mpi/harness 1500
end_to_end "on several nodes" cluster/harness 480

echo "$passed passed, $failed failed, $skipped skipped"
exit $status
