"""What the figures were measured on, and with."""

import os
import platform
import re
import subprocess

PACKAGES = ["libevent-dev", "libuv1-dev", "libev-dev", "libasio-dev", "g++", "valgrind", "strace"]


def output_of(command):
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False
        )
    except OSError:
        return ""
    return done.stdout.decode()


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as opened:
            return re.search(r"model name\s*: (.*)", opened.read()).group(1)
    except (OSError, AttributeError):
        return platform.machine()


def versions():
    """Of what Debian's packages gave us; without their epochs and revisions."""
    lines = output_of(["dpkg-query", "-W", "-f", "${Package} ${Version}\\n"] + PACKAGES)
    pairs = [line.split() for line in lines.splitlines() if len(line.split()) == 2]
    return {name: re.sub(r"^\d+:|[-+].*$", "", version) for name, version in pairs}


def describe():
    compiler = output_of(["c++", "--version"]).splitlines()
    return {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "kernel": "%s %s" % (platform.system(), platform.release()),
        "compiler": compiler[0] if compiler else "",
        "load_average": os.getloadavg()[0],
        "versions": versions(),
    }
