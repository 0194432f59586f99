"""Builds Pollard and runs its tests. The last line is `N passed, N failed, N skipped`.

usage: ci/test [--all] [PART...]

  (none)  one build, and on it: {plain}
  --all   all parts but profiles-quick and busy
  PART    these alone, also written --PART:
"""

import os
import platform
import re
import subprocess
import sys

from runs import REPORTED, Part, finish, have, output_of, raise_descriptor_limit
from runs import required_pollers, run, shell

PARTS = {
    "style": "our own rules of style, and the CI workflow",
    "suite": "the test programs, on every backend, real and simulated",
    "profiles-quick": "the suite, as two other systems would run it",
    "conformance": "the promises of Poller by backends",
    "fault-run": "each system call of a scene fails with each error",
    "readme": "what the documents show is true",
    "profiles": "the suite, as each system would run it, and with the worst settings",
    "lint": "shellcheck, clang-format, buildifier, actionlint, Doxygen",
    "tidy": "clang-tidy; minutes in the first run",
    "chaos": "two thousand seeds of bad days",
    "interop": "with socat, nc, curl, redis-cli",
    "consumers": "what `cmake --install` leaves, used",
    "guards": "what a message costs in system calls, instructions and bytes (Linux)",
    "bazel": "the suite, built with Bazel",
    "asan": "the suite under AddressSanitizer and UndefinedBehaviorSanitizer (Linux)",
    "tsan": "the suite under ThreadSanitizer (Linux)",
    "busy": "the suite and interop, five times, on a machine that is kept busy",
}
PLAIN = ["style", "suite", "profiles-quick", "conformance", "fault-run", "readme"]
# What they measure with is Linux's.
LINUX = ["guards", "asan", "tsan"]
NEEDS = {"tidy": ["clang-tidy"], "guards": ["strace", "valgrind"], "consumers": ["pkg-config"],
         "interop": ["socat", "nc", "curl", "strace", "redis-cli"]}


def of_release(labels):
    """One build; what ctest knows by these labels runs on it, all at once."""
    with Part("test" if len(labels) > 1 else labels[0]) as part:
        for label in list(labels):
            if not have(*NEEDS.get(label, [])) and label == "tidy":
                part.skip("tidy: clang-tidy is not available here")
                labels.remove(label)
        bench = "ON" if "guards" in labels else "OFF"
        if part.build("build/release", "-DCMAKE_BUILD_TYPE=Release", "-DPOLLARD_BUILD_TESTS=ON",
                      "-DPOLLARD_BUILD_BENCH=" + bench):
            part.ctest("build/release", labels)


def sanitized(name, sanitizer, labels, prefix=()):
    with Part(name) as part:
        if part.build("build/" + name, "-DCMAKE_BUILD_TYPE=Debug",
                      "-DPOLLARD_SANITIZE=" + sanitizer, "-DPOLLARD_BUILD_EXAMPLES=OFF",
                      "-DPOLLARD_BUILD_BENCH=OFF"):
            part.ctest("build/" + name, labels, prefix=prefix)


def asan():
    """Clang's find more than GCC's, which ci/matrix runs: misaligned members, for one."""
    given = os.environ.get("CXX")
    os.environ["CXX"] = given or "clang++"
    if not given and not have("compiler", "libfuzzer"):
        del os.environ["CXX"]
    sanitized("asan", "address", ["suite", "chaos"])
    if not given:
        os.environ.pop("CXX", None)


def tsan():
    """Older ThreadSanitizers can't run where addresses are randomised as widely as they may be."""
    fixed = ["setarch", platform.machine(), "-R"]
    works = shell('setarch "$1" -R true 2> /dev/null', platform.machine()) == 0
    sanitized("tsan", "thread", ["suite"], fixed if works else [])


def busy():
    """A test that passes on a calm machine and fails on a busy one waits for time."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for _ in range(5):
            of_release(["suite", "interop"])
    finally:
        for loop in loops:
            loop.kill()


def bazel():
    with Part("bazel") as part:
        if not have("bazel"):
            return part.skip("no package of this system holds Bazel")
        settings = ["--test_env=%s=%s" % pair for pair in REPORTED.items()]
        status, output = run(
            ["ci/bazel", "test", "//...", "--nocache_test_results", "--keep_going",
             "--test_timeout=600", "--noshow_progress", *settings], "build/test/bazel.log", 1500)
        logs = output_of("ci/bazel", "info", "bazel-testlogs")
        results = dict(re.findall(r"^//([\w/]+:\w+) +(\w.*?)(?: in |$)", output, re.M))
        for name, result in sorted(results.items()):
            # A test that did not run leaves the log of an earlier run behind.
            log, path = "", "%s/%s/test.log" % (logs, name.replace(":", "/"))
            if result in ("PASSED", "FAILED", "TIMEOUT") and os.path.exists(path):
                with open(path, errors="replace") as opened:
                    log = opened.read()
            part.add(name.split(":")[1], log, result.startswith("PASSED"), result)
        if not part.counts.failed and (status != 0 or not results):
            part.fail("bazel test ended with status %s:\n%s" % (status, output[-3000:]))
        part.command("consumer", ["tests/consumers/run", "--bazel"], 600)
        run(["ci/bazel", "shutdown"], "build/test/shutdown.log", 60)


def usage():
    return __doc__.replace("{plain}", ", ".join(PLAIN)) + "".join(
        "    %-15s%s\n" % part for part in PARTS.items()) + """
Builds with $CXX, in build/. What is missing is installed first."""


def chosen(arguments):
    here = [name for name in PARTS if platform.system() == "Linux" or name not in LINUX]
    parts = set()
    for argument in arguments or PLAIN:
        name = argument.lstrip("-")
        if name == "all":
            parts.update(part for part in here if part not in ("busy", "profiles-quick"))
        elif name in PARTS:
            parts.add(name)
        else:
            print("ci/test: unknown part '%s'. Available: --all, %s" % (argument, ", ".join(PARTS)),
                  file=sys.stderr)
            sys.exit(2)
    return [part for part in PARTS if part in parts]


def main(arguments):
    if "--help" in arguments:
        print(usage())
        return 0
    parts = chosen(arguments)
    if shell("ensure compiler cmake ninja cli11 boost") != 0:
        return 1
    os.environ["POLLARD_REQUIRED_POLLERS"] = required_pollers()
    raise_descriptor_limit()
    alone = {"bazel": bazel, "asan": asan, "tsan": tsan, "busy": busy}
    released = [part for part in parts if part not in alone]
    if released:
        of_release(released)
    for part in parts:
        if part in alone:
            alone[part]()
    return finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
