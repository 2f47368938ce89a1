#!/bin/bash
# All tests: unit tests (ctest), then end-to-end on real MPI jobs.
#
#   tests/run.sh            a fair selection, at most half an hour
#   tests/run.sh --quick    a few minutes
#   tests/run.sh --all      every case, every round: hours
#   tests/run.sh --no-build use the build that is there
#
# The last line is "N passed, N failed, N skipped"; the exit status is 0 only
# when nothing failed. Installs missing packages as root or with sudo.
set -u
# shellcheck source=tests/prepare.sh
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

selection=() build=yes limit=1500
for option in "$@"; do
  case $option in
    --quick) selection=(--quick) ;;
    --all) selection=(--all) limit= ;;
    --no-build) build=no ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
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

say "end to end"
/usr/bin/python3 "$SOURCE/tests/mpi/harness" --build "$BUILD" ${selection[@]+"${selection[@]}"} \
  ${limit:+--limit "$limit"} 2>&1 | tee "$counts"
[ "${PIPESTATUS[0]}" = 0 ] || status=1
read -r passed failed skipped < <(sed -nE \
  's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$counts" | tail -n 1)
if [ -z "${passed:-}" ]; then
  echo "the end-to-end harness gave no result" >&2
  passed=0 failed=1 skipped=0 status=1
fi

echo "$((passed + unit_total - unit_failed - unit_skipped)) passed," \
  "$((failed + unit_failed)) failed, $((skipped + unit_skipped)) skipped"
exit $status
