# shellcheck shell=bash
# Sourced by tests/run.sh and tests/demo.sh: installs what is missing, builds.
#
# Sets SOURCE (the checkout) and BUILD (the build directory: $CKPT_BUILD_DIR,
# else build/dev in the checkout).

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${CKPT_BUILD_DIR:-$SOURCE/build/dev}

say() { printf '== %s\n' "$*"; }

missing_packages() {
  local name rest
  while read -r name rest; do
    case $name in '' | '#'*) continue ;; esac
    dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null | grep -q '^install ok installed$' ||
      printf '%s ' "$name"
  done <"$SOURCE/tests/packages.txt"
}

# Installs packages and leaves their services off, now and at the next boot: the
# tests start daemons in namespaces of their own (tests/cluster).
without_services() {
  local policy=/usr/sbin/policy-rc.d made='' status=0 unit
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod 755 $policy
    made=yes
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "$@" >/dev/null || status=$?
  [ -z "$made" ] || "${as_root[@]}" rm -f $policy
  for unit in slurmctld slurmd munge; do
    case " $* " in
      *" $unit "*) "${as_root[@]}" systemctl disable $unit >/dev/null 2>&1 || true ;;
    esac
  done
  return $status
}

install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: the packages of tests/packages.txt are taken to be there"
    return 0
  fi
  local missing as_root=()
  missing=$(missing_packages)
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      echo "Missing packages. Run this as root, then start again:" >&2
      echo "  apt-get update && apt-get install -y --no-install-recommends $missing" >&2
      exit 3
    fi
  fi
  say "installing: $missing"
  "${as_root[@]}" apt-get update -q >/dev/null
  # shellcheck disable=SC2086  # one word a package
  without_services $missing
}

build_all() {
  say "building in $BUILD"
  cmake -S "$SOURCE" -B "$BUILD" -G Ninja -DCMAKE_BUILD_TYPE="${CKPT_BUILD_TYPE:-RelWithDebInfo}" \
    >"$BUILD.log" 2>&1 || { cat "$BUILD.log" >&2; return 1; }
  cmake --build "$BUILD" >>"$BUILD.log" 2>&1 || { tail -n 60 "$BUILD.log" >&2; return 1; }
}

prepare() {
  install_missing
  mkdir -p "$(dirname "$BUILD")"
  build_all
}
