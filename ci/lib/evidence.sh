# Read by ci/matrix after tally.sh: what was seen to run where, and the table of it. A line of
# $logs/evidence is a system, a backend, how much is known of the two, and the part that showed it.
# shellcheck shell=sh
# shellcheck disable=SC2154  # $logs and $tally_file are tally.sh's

evidence_file=$logs/evidence

evidence_start() {
  mkdir -p "$logs"
  : > "$evidence_file"
}

# evidence SYSTEM BACKEND STATE PART
evidence() { printf '%s\t%s\t%s\t%s\n' "$@" >> "$evidence_file"; }

# evidence_ran SYSTEM PART STATE: the backends whose suites ran, as the logs of the part say. STATE
# is what a run on this part's kernel is worth.
evidence_ran() {
  for evidence_log in "$logs/$2"/*.log; do
    backends_that_ran "$3" "$evidence_log"
  done | sort -u | while read -r evidence_backend evidence_state; do
    evidence "$1" "$evidence_backend" "$evidence_state" "$2"
  done
}

# backends_that_ran STATE LOG: the backends of which a Boost.Test program has entered a case, and on
# which kernel. A suite on the simulated kernel has that in its name, or says so when it begins.
backends_that_ran() {
  awk -F'"' -v state="$1" '
    /^note: .* runs on the simulated kernel/ { split($0, word, " "); noted[word[2]] = 1 }
    /: Entering test suite "/ { suite = $2 }
    /: Leaving test suite "/ { suite = "" }
    /: Entering test case "/ && suite != "" { ran[suite] = 1 }
    END {
      for (suite in ran) {
        backend = suite
        sub(/^simulated-/, "", backend)
        simulated = backend != suite
        sub(/-level$/, "", backend)
        if (backend !~ /^(epoll|kqueue|poll|select)$/) continue
        print backend, simulated || backend in noted ? "simulated" : state
      }
    }' "$2"
}

# evidence_table SYSTEM...: each of them is a row, also where nothing was seen to run.
evidence_table() {
  for evidence_system; do evidence "$evidence_system" '' '' ''; done
  awk -F'\t' -v tally="$tally_file" '
    function add(list, item) {
      if (item == "" || index(", " list ",", ", " item ",")) return list
      return list == "" ? item : list ", " item
    }
    function row(name, epoll, kqueue, poll, select, parts) {
      printf "%-20s %-17s %-17s %-17s %-17s %s\n", name, epoll, kqueue, poll, select, parts
    }
    function cell(name, backend) {
      return seen[name, backend] == "" ? "-" : seen[name, backend]
    }
    BEGIN {
      while ((getline line < tally) > 0) {
        split(line, field, " ")
        if (field[3] > 0) failed[field[1]] = 1
      }
      row("system", "epoll", "kqueue", "poll", "select", "seen by")
    }
    $4 == "" { rows[++row_count] = $1; next }
    {
      seen[$1, $2] = add(seen[$1, $2], $4 in failed ? "FAILED" : $3)
      parts[$1] = add(parts[$1], $4)
    }
    END {
      for (i = 1; i <= row_count; ++i) {
        name = rows[i]
        row(name, cell(name, "epoll"), cell(name, "kqueue"), cell(name, "poll"), \
          cell(name, "select"), name in parts ? parts[name] : "not run this time")
      }
    }' "$evidence_file"
}
