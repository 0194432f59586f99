"""Builds with CMake and Ninja, runs what ctest knows, and counts the test cases of all of it.

A Part collects what one part of ci/test or ci/matrix has shown. A Boost.Test program reports its
cases in XML; a script of ours ends with `N passed, N failed[, N skipped]`; anything else counts as
one case.
"""

import collections
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(ROOT)
PROCESSORS = os.cpu_count() or 2
LOGS = "build/" + os.path.splitext(os.path.basename(sys.argv[0]))[0]
REPORTED = {"BOOST_TEST_REPORT_FORMAT": "XML", "BOOST_TEST_REPORT_LEVEL": "short",
            "BOOST_TEST_LOG_LEVEL": "test_suite", "BOOST_TEST_COLOR_OUTPUT": "no"}
ENDED = re.compile(r" *\d+/\d+ Test +#\d+: (\S+) [ .]*(\*\*\*)?(.*?) +([\d.]+) sec")


def say(text=""):
    print(text, flush=True)


def shell(line, *arguments):
    """The status of a line that uses ci/lib/install.sh."""
    return subprocess.call(["sh", "-c", ". ci/lib/common.sh; . ci/lib/install.sh; " + line,
                            "ci/" + os.path.basename(LOGS), *arguments])


def have(*tools):
    """Installs what is missing of them; false when something can't be."""
    return shell('try_ensure "$@"', *tools) == 0


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip()


def required_pollers():
    return output_of("ci/required_pollers")


def run(command, log, seconds=None):
    """The status, and all that the command printed, which is also in the log."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "w") as opened:
        try:
            status = subprocess.run(command, stdout=opened, stderr=subprocess.STDOUT,
                                    timeout=seconds).returncode
        except subprocess.TimeoutExpired:
            status = "timeout"
    with open(log, errors="replace") as opened:
        return status, opened.read()


def follow(command, environment=None):
    """The lines that a command prints, as they come; the last one is its status, a number."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env=dict(os.environ, **(environment or {}))) as process:
        yield from process.stdout
    yield process.returncode


class Counts:
    """Of test cases; `skipped` has the reasons."""

    def __init__(self, passed=0, failed=0, skipped=()):
        self.passed, self.failed = passed, failed
        self.skipped = collections.Counter(skipped)

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return "%d passed, %d failed, %d skipped" % (
            self.passed, self.failed, sum(self.skipped.values()))


def counts_of(output, passed):
    """What a program's output says; `passed` is what its status says, which is believed more."""
    suite = re.search(r"<TestResult><TestSuite ([^>]*)>", output)
    ours = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*\Z", output, re.M)
    counts = Counts()
    if suite:
        # To the report what a filter leaves out is skipped, too; the log tells them apart.
        number = {name: int(value) for name, value in re.findall(r'(\w+)="(\d+)"', suite.group(1))}
        counts.passed = (number["test_cases_passed"]
                         + number.get("test_cases_passed_with_warnings", 0))
        counts.failed = number["test_cases_failed"]
        why = re.findall(r"is skipped because (.*)", output)
        counts.skipped.update(reason for reason in why if reason != "disabled")
    elif ours:
        counts.passed, counts.failed = int(ours.group(1)), int(ours.group(2))
        # "skipped: why", "skipped: why (3)" or "skipped: 3 promises ..."
        for first, why, last in re.findall(r"^ *skipped: (\d+ )?(.*?)( \(\d+\))?$", output, re.M):
            counts.skipped[why] += int((first or last or "1").strip(" ()"))
        counts.skipped["for a reason that is not given"] += (
            int(ours.group(3) or 0) - sum(counts.skipped.values()))
    elif passed:
        counts.passed = 1
    if not passed and counts.failed == 0:
        counts.failed = 1
    return counts


def shown(output):
    """Of a failed program all but what Boost.Test says of the cases that pass."""
    noise = re.compile(r"(Entering|Leaving) test (case|suite|module)|is skipped because|<Test")
    return "".join("    %s\n" % line for line in output.splitlines() if not noise.search(line))


class Part:
    """One part of a run; it says how it went when it ends."""

    all = []

    def __init__(self, name):
        self.name = name
        self.counts = Counts()
        self.outputs = []
        self.began = time.monotonic()
        Part.all.append(self)
        say("== " + name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for why, times in sorted((+self.counts.skipped).items()):
            say("  skipped: %s (%d)" % (why, times))
        say("== %s: %s (%d s)" % (self.name, self.counts, time.monotonic() - self.began))

    def fail(self, why):
        say("  FAILED: " + why)
        self.counts += Counts(failed=1)
        return False

    def skip(self, why):
        self.counts += Counts(skipped=[why])

    def add(self, name, output, passed, why="failed"):
        """Counts what a program has printed; a failure is shown whole."""
        counts = counts_of(output, passed)
        self.counts += counts
        self.outputs.append(output)
        if counts.failed:
            say("  FAILED: %s: %s; %s\n%s" % (name, why, counts, shown(output)))
            log = os.path.join(LOGS, self.name, name + ".log")
            os.makedirs(os.path.dirname(log), exist_ok=True)
            with open(log, "w") as opened:
                opened.write(output)
        return counts.failed == 0

    def command(self, name, command, seconds):
        """Runs a script of ours."""
        status, output = run(command, os.path.join(LOGS, self.name, name + ".log"), seconds)
        return self.add(name, output, status == 0, "ended with status %s" % status)

    def configure(self, folder, *options):
        """A build folder remembers its compiler; another $CXX has to begin afresh."""
        cache = os.path.join(folder, "CMakeCache.txt")
        compiler = os.environ.get("CXX")
        if compiler and os.path.exists(cache):
            with open(cache) as opened:
                if not re.search(r"^CMAKE_CXX_COMPILER:.*[/=]%s$" % re.escape(
                        os.path.basename(compiler)), opened.read(), re.M):
                    os.remove(cache)
        status, output = run(["cmake", "-S", ".", "-B", folder, "-G", "Ninja", *options],
                             os.path.join(folder, "configure.log"))
        return status == 0 or self.fail("CMake can't configure %s:\n%s" % (folder, output[-3000:]))

    def build(self, folder, *options, targets=("all",)):
        """Configures and builds; shows progress every few seconds, and errors whole."""
        if not self.configure(folder, *options):
            return False
        told = time.monotonic()
        for line in follow(["ninja", "-j", str(PROCESSORS), "-C", folder, *targets]):
            if line == 0:
                return True
            if isinstance(line, int):
                return self.fail("the build in %s failed" % folder)
            if not re.match(r"\[\d+/\d+\]", line):
                say(line.rstrip())
            elif time.monotonic() > told + 5 or re.match(r"\[(\d+)/\1\]", line):
                told = time.monotonic()
                say("  " + line.rstrip())

    def ctest(self, folder, labels, seconds=600, prefix=()):
        """Runs the tests of these labels, as many at once as there are processors."""
        report = os.path.abspath(os.path.join(LOGS, self.name + ".xml"))
        os.makedirs(LOGS, exist_ok=True)
        if os.path.exists(report):
            os.remove(report)
        outcome = {}
        for line in follow([*prefix, "ctest", "--test-dir", folder, "-j", str(PROCESSORS),
                            "--timeout", str(seconds), "-L", "^(%s)$" % "|".join(labels),
                            "--output-junit", report, "--test-output-size-passed", "100000000",
                            "--test-output-size-failed", "100000000"], REPORTED):
            ended = ENDED.match(line) if isinstance(line, str) else None
            if ended:
                outcome[ended.group(1)] = ended.group(3)
                say("  %-22s %s, %.0f s" % (ended.group(1), ended.group(3).lower(),
                                            float(ended.group(4))))
        tests = []
        if os.path.exists(report):
            tests = list(xml.etree.ElementTree.parse(report).getroot().iter("testcase"))
        if not tests:
            return self.fail("ctest ran nothing in %s for %s" % (folder, ", ".join(labels)))
        for test in tests:
            name = test.get("name")
            self.add(name, test.findtext("system-out") or "", test.get("status") == "run",
                     outcome.get(name, test.get("status")))


def raise_descriptor_limit():
    """A test of thousands of connections needs them; what the system refuses, the test reports."""
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, 8192):
        try:
            return resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (ValueError, OSError):
            pass


def finish():
    """Prints the last line, and leaves it in LOGS/counts. Returns the status of the run."""
    total = Counts()
    for part in Part.all:
        total += part.counts
    say("in all: " + "; ".join("%s %s" % (part.name, part.counts) for part in Part.all))
    os.makedirs(LOGS, exist_ok=True)
    with open(LOGS + "/counts", "w") as opened:
        opened.write("%d %d %d\n" % (total.passed, total.failed, sum(total.skipped.values())))
    say(str(total))
    return 1 if total.failed or not total.passed else 0
