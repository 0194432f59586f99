# Read by ci/test after suites.sh: the suites of poller/ and net/ on the simulated kernel, as it
# answers like other systems. The ordinary run has each backend as Linux would have it.
# shellcheck shell=sh
# shellcheck disable=SC2154  # $logs is tally.sh's

# Each backend on a system of its own, and on one more: epoll has Linux alone, which the ordinary
# run covers.
quick_profiles="freebsd:kqueue netbsd:kqueue,poll,select"
all_profiles="linux freebsd netbsd openbsd darwin worst"

# run_profiles PART BUILD_FOLDER PROFILE[:BACKEND,...]...: without a list, all backends of the
# profile. "worst" is slow packets, coarse ticks and small buffers (docs/testing.md).
run_profiles() {
  profiles_part=$1
  profiles_folder=$2
  shift 2
  mkdir -p "$logs/$profiles_part"
  for profile; do
    case $profile in
      *:*) backends=$(echo "${profile#*:}" | sed 's/[^,]*/simulated-&*/g; s/,/:/g') ;;
      *) backends='simulated-*' ;;
    esac
    for program in poller_test net_test; do
      run_profile "${profile%%:*}" "$program" "$backends"
    done
  done
}

# Parts of ci/test, of what its part `ninja` has built.
part_profiles_quick() {
  # shellcheck disable=SC2086  # a list of profiles
  run_profiles profiles-quick build/release $quick_profiles
}
part_profiles() {
  # shellcheck disable=SC2086  # a list of profiles
  run_profiles profiles build/release $all_profiles
}

# run_profile PROFILE PROGRAM FILTER: for run_profiles.
run_profile() {
  log=$logs/$profiles_part/$1.$2.log
  report=$logs/$profiles_part/$1.$2.xml
  began=$(now)
  : > "$report"
  status=0
  # Megabytes take their time through 2 KiB.
  patience=${POLLARD_TEST_PATIENCE:-1}
  [ "$1" != worst ] || patience=$((4 * patience))
  run_limited "$suite_seconds" env "POLLARD_TEST_PATIENCE=$patience" \
    "$profiles_folder/tests/$2" "--profile=$1" "--run_test=$3" \
    --log_level=test_suite --color_output=no --report_level=short --report_format=XML \
    "--report_sink=$report" > "$log" 2>&1 || status=$?
  printf '  %s %s on %s: ' "$profiles_part" "$2" "$1"
  tally_boost "$profiles_part" "$status" "$report" "$log"
  say " ($(($(now) - began)) s)"
  [ "$status" = 0 ] || show_failures "$log" "$status"
}
