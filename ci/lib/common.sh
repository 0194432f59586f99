# Read by the scripts of ci/, each of which has gone to the root of the tree first: how to speak,
# and how to bound a command in time. POSIX sh, because the BSDs have no other.
# shellcheck shell=sh

say() { printf '%s\n' "$*"; }

warn() { printf '%s\n' "$*" >&2; }

die() {
  warn "ci/$(basename "$0"): $*"
  exit 1
}

now() { date +%s; }

processors() { getconf _NPROCESSORS_ONLN 2> /dev/null || sysctl -n hw.ncpu 2> /dev/null || echo 2; }

# run_limited SECONDS COMMAND...: ends a command that takes longer. macOS has no timeout(1), but
# perl.
run_limited() {
  if command -v timeout > /dev/null; then
    timeout --foreground -k 5 "$@"
  else
    perl -e 'alarm shift; exec @ARGV or die "$ARGV[0]: $!\n"' "$@"
  fi
}
