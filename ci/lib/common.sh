# Read by the scripts of ci/, each of which has gone to the root of the tree first: how to speak,
# and how many processors there are. POSIX sh, because the BSDs have no other.
# shellcheck shell=sh

say() { printf '%s\n' "$*"; }

warn() { printf '%s\n' "$*" >&2; }

die() {
  warn "ci/$(basename "$0"): $*"
  exit 1
}

now() { date +%s; }

processors() { getconf _NPROCESSORS_ONLN 2> /dev/null || sysctl -n hw.ncpu 2> /dev/null || echo 2; }
