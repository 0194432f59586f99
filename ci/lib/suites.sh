# Read by ci/test and ci/matrix after common.sh, build.sh and tally.sh: the parts of a run, each of
# which builds, runs the test programs that it built, or calls a script that counts its own cases.
# What a part prints goes to $logs (tally.sh), the numbers into the tally.
# shellcheck shell=sh
# shellcheck disable=SC2154  # $logs is tally.sh's

suite_seconds=600

# failed_part PART WHY...: a part that could not even run is one failure.
failed_part() {
  failed_part_name=$1
  shift
  say "  FAILED: $*"
  tally "$failed_part_name" 0 1 0
}

# show_failures LOG STATUS: what a person needs first. Where the program did not come to its end
# (Boost.Test's 201 says that it did, with failures) that is what stands last in the log.
show_failures() {
  grep -E 'error: |ERROR: |WARNING: ThreadSanitizer|runtime error:' "$1" | head -n 40
  [ "$2" = 201 ] || tail -n 20 "$1"
  say "  ... the whole of it is in $1"
}

# The reasons why test cases were skipped, each once: nothing is skipped silently. (Who set a filter
# says why.)
show_skipped() {
  skipped_cases "$1" | sort | uniq -c | sed 's/^ */  skipped: /'
}

# suites_of BUILD_FOLDER [PREFIX...]: what there is to run, a name each. What a program runs on the
# simulated kernel is about half of its work, and is a run by itself.
suites_of() {
  suites_folder=$1
  shift
  for program in "$suites_folder"/tests/*_test; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    if "$@" "$program" --list_content 2>&1 | grep -q '^simulated-'; then
      say "$name.real" "$name.simulated"
    else
      say "$name"
    fi
  done
}

# run_suites PART BUILD_FOLDER [PREFIX...]: each test program that the build made, as many at once
# as there are processors. $suite_filters, where set, is a filter of Boost.Test's for all of them.
run_suites() {
  run_part=$1
  run_folder=$2
  shift 2
  suites=$(suites_of "$run_folder" "$@")
  [ -n "$suites" ] || failed_part "$run_part" "no test program in $run_folder/tests"
  rm -rf "${logs:?}/$run_part"
  mkdir -p "$logs/$run_part/taken"
  lane=0
  while [ "$lane" -lt "$(processors)" ]; do
    lane=$((lane + 1))
    for suite in $suites; do
      # Only one lane can make the folder, and so takes the suite.
      if mkdir "$logs/$run_part/taken/$suite" 2> /dev/null; then run_suite "$suite" "$@"; fi
    done &
  done
  wait
}

# run_suite SUITE [PREFIX...]: one of suites_of's, for run_suites. It speaks once, when it is done.
run_suite() {
  suite=$1
  shift
  filters=${suite_filters:-}
  case $suite in
    *.real) filters="!simulated-*${filters:+:$filters}" ;;
    *.simulated) filters="simulated-*${filters:+:$filters}" ;;
  esac
  log=$logs/$run_part/$suite.log
  report=$logs/$run_part/$suite.xml
  began=$(now)
  : > "$report"
  status=0
  run_limited "$suite_seconds" "$@" "$run_folder/tests/${suite%.*}" \
    ${filters:+"--run_test=$filters"} --log_level=test_suite --color_output=no \
    --report_level=short --report_format=XML "--report_sink=$report" > "$log" 2>&1 || status=$?
  {
    printf '  %s %s: ' "$run_part" "$suite"
    tally_boost "$run_part" "$status" "$report" "$log"
    say " ($(($(now) - began)) s)"
    [ "$status" = 0 ] || show_failures "$log" "$status"
    show_skipped "$log"
  } > "$logs/$run_part/$suite.result"
  cat "$logs/$run_part/$suite.result"
}

# run_counted PART COMMAND...: a script of ours whose last line is `N passed, N failed`.
run_counted() {
  counted_part=$1
  shift
  log=$logs/$counted_part.log
  status=0
  run_limited "$suite_seconds" "$@" > "$log" 2>&1 || status=$?
  # shellcheck disable=SC2046  # two or three numbers
  set -- $(tail -n 1 "$log" |
    sed -n -E 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p')
  if [ $# -lt 2 ] || { [ "$status" != 0 ] && [ "$2" = 0 ]; }; then
    set -- "${1:-0}" 1 "${3:-0}"
    say "  (ended with status $status)"
  fi
  tally "$counted_part" "$1" "$2" "${3:-0}"
  if [ "$2" != 0 ]; then cat "$log"; else grep '^skipped' "$log" | sed 's/^/  /' || :; fi
  say "  $counted_part: $1 passed, $2 failed"
}

# build_part PART BUILD_FOLDER CMAKE_OPTION...
build_part() {
  build_part_name=$1
  build_part_folder=$2
  shift
  if configure "$@" && build "$build_part_folder" all; then return 0; fi
  failed_part "$build_part_name" "the build in $build_part_folder failed"
  return 1
}

# build_sanitized PART SANITIZER: SANITIZER is one that POLLARD_SANITIZE names.
build_sanitized() {
  build_part "$1" "build/$1" -DCMAKE_BUILD_TYPE=Debug "-DPOLLARD_SANITIZE=$2" \
    -DPOLLARD_BUILD_EXAMPLES=OFF -DPOLLARD_BUILD_BENCH=OFF
}

# run_address_sanitized PART: what build_sanitized PART address has built.
run_address_sanitized() {
  run_suites "$1" "build/$1" env \
    ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    BOOST_TEST_CATCH_SYSTEM_ERRORS=no
  run_counted "$1-chaos" "build/$1/tests/chaos" --seeds=200
}

# run_parts PART...: part_PART is the function that does it. Says how long each of them took, what
# $epilogue (a command) has to add, and, on the last line, how many passed and failed.
run_parts() {
  # A test of thousands of connections needs descriptors; what can't be had is the test's to report.
  # shellcheck disable=SC3045  # every sh that we know has ulimit -S, -H and -n
  ulimit -S -n "$(ulimit -H -n)" 2> /dev/null || ulimit -S -n 8192 2> /dev/null || :
  tally_start
  parts_started=$(now)
  parts_summary=
  for part; do
    say "== $part"
    part_started=$(now)
    "part_$(printf %s "$part" | tr - _)"
    part_took=$(($(now) - part_started))
    parts_summary="$parts_summary$part $part_took s; "
    say "== $part took $part_took s"
  done
  say
  say "in all $(($(now) - parts_started)) s: $parts_summary"
  ${epilogue:-:}
  tally_line
  ! tally_has_failed
}
