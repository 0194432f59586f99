# Read by ci/test and ci/matrix after common.sh: counts test cases over all runs, in $logs/tally;
# $logs is the folder in build/ where a script keeps what the programs said.
# shellcheck shell=sh

logs=build/$(basename "$0")
tally_file=$logs/tally

tally_start() {
  mkdir -p "$logs"
  : > "$tally_file"
}

# tally PART PASSED FAILED SKIPPED
tally() { printf '%s %d %d %d\n' "$@" >> "$tally_file"; }

tally_has_failed() { awk '{ failed += $3 } END { exit failed == 0 }' "$tally_file"; }

# The last line of a run: `N passed, N failed, N skipped`.
tally_line() {
  awk '{ passed += $2; failed += $3; skipped += $4 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$tally_file"
}

# boost_counts FILE: `passed failed skipped`, from the XML report of a Boost.Test program that
# stands somewhere in the file. Nothing where there is none: the program ended before it reported.
boost_counts() {
  tr '\n' ' ' < "$1" | awk '
    function count(name) {
      return match(suite, name "=\"[0-9]+\"") ? substr(suite, RSTART + length(name) + 2) + 0 : 0
    }
    match($0, /<TestResult><TestSuite [^>]*>/) {
      suite = substr($0, RSTART, RLENGTH)
      print count("test_cases_passed") + count("test_cases_passed_with_warnings"), \
        count("test_cases_failed"), count("test_cases_skipped")
    }'
}

# skipped_cases LOG: why, a line each, but for what a filter left out.
skipped_cases() {
  sed -n -e '/is skipped because disabled$/d' -e 's/.*is skipped because //p' "$1"
}

# tally_boost PART STATUS REPORT [LOG]: counts a run and prints its result. A program that failed
# without a failed case (it crashed, a sanitizer stopped it, its time was over) counts as one
# failure. To a report what a filter leaves out is skipped, too; the log tells them apart.
tally_boost() {
  tally_boost_part=$1
  tally_boost_status=$2
  tally_boost_log=${4:-}
  # shellcheck disable=SC2046  # three numbers
  set -- $(boost_counts "$3")
  if [ "$tally_boost_status" != 0 ] && [ "${2:-0}" = 0 ]; then
    set -- "${1:-0}" 1 "${3:-0}"
    printf '(ended with status %d) ' "$tally_boost_status"
  elif [ $# = 0 ]; then
    set -- 0 1 0
    printf '(no report) '
  elif [ -n "$tally_boost_log" ]; then
    set -- "$1" "$2" $(($(skipped_cases "$tally_boost_log" | wc -l)))
  fi
  tally "$tally_boost_part" "$@"
  printf '%d passed, %d failed' "$1" "$2"
  [ "$3" = 0 ] || printf ', %d skipped' "$3"
}
