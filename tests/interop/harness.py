"""What the tests of the example programs share: the programs, the servers among them, the cases."""

import asyncio
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEP_SECONDS = 30
MEBIBYTE = 1 << 20


class Skipped(Exception):
    """Why a case can't run on this machine."""


class Cases:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def run(self, name, function, *arguments, **options):
        try:
            function(*arguments, **options)
        except Skipped as reason:
            self.skipped += 1
            print("skipped: %s: %s" % (name, reason), flush=True)
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as problem:
            self.failed += 1
            print("FAILED: %s: %s" % (name, problem or type(problem).__name__), flush=True)
        except asyncio.TimeoutError:
            self.failed += 1
            print("FAILED: %s: no answer in %d seconds" % (name, STEP_SECONDS), flush=True)
        else:
            self.passed += 1
            print("passed: " + name, flush=True)


# ---- The programs ----


class Programs:
    def __init__(self, build):
        self.folder = os.path.join(build, "examples")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, name, *arguments, **options):
        """A program that ends by itself, and what it said."""
        return subprocess.run(
            [self.path(name)] + list(arguments),
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=STEP_SECONDS,
            env=environment(options.pop("poller", None)),
            **options
        )


def environment(poller=None):
    variables = dict(os.environ)
    variables.pop("POLLARD_POLLER", None)
    if poller is not None:
        variables["POLLARD_POLLER"] = poller
    return variables


class Server:
    """An example that listens, and tells where in so many lines; ended in good order when the block
    ends."""

    def __init__(
        self, programs, arguments, name="echo_server", prefix=(), variables=None, lines=1
    ):
        self.lines = lines
        self.environment = dict(environment(), **(variables or {}))
        self.command = list(prefix) + [programs.path(name)] + arguments

    def __enter__(self):
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=self.environment,
        )
        first = self.first_lines()
        said = re.findall(r"^(?:(\w+): )?\w+ing on (\S+) with (\S+)\n", first, re.MULTILINE)
        if len(said) != self.lines:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not start: %s%s" % (first, self.said()))
        self.addresses = {name: address for name, address, _ in said}
        self.address, self.poller = said[0][1:]
        self.pid = self.process.pid
        return self

    def __exit__(self, problem, *_):
        try:
            if problem is None:
                self.stop()
        finally:
            if self.process.poll() is None:
                os.kill(self.pid, signal.SIGKILL)
                self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.errors.close()

    def first_lines(self):
        lines = b""
        deadline = time.monotonic() + STEP_SECONDS
        while lines.count(b"\n") < self.lines:
            left = max(0, deadline - time.monotonic())
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            piece = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not piece:
                break
            lines += piece
        return lines.decode()

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def stop(self, by=signal.SIGTERM, within=STEP_SECONDS):
        os.kill(self.pid, by)
        status = self.process.wait(timeout=within)
        assert status == 0, "asked to stop, the server ended with %d: %s" % (status, self.said())
        assert self.said() == "", "the server complained: " + self.said()


# ---- Where they meet ----


class Place:
    """A server's address, in the words of each program."""

    def __init__(self, address):
        self.address = address
        self.path = address[len("unix:"):] if address.startswith("unix:") else None
        if self.path is None:
            host, port = address.rsplit(":", 1)
            self.host = host.strip("[]")
            self.port = int(port)

    def socat(self):
        if self.path is not None:
            return "UNIX-CONNECT:" + self.path
        return "TCP6:[%s]:%d" % (self.host, self.port) if ":" in self.host else (
            "TCP4:%s:%d" % (self.host, self.port)
        )

    def nc(self):
        return ["-U", self.path] if self.path is not None else [self.host, str(self.port)]

    def curl(self):
        if self.path is not None:
            return ["--unix-socket", self.path, "telnet://localhost"]
        return ["telnet://" + self.address]

    def connect(self):
        if self.path is None:
            return socket.create_connection((self.host, self.port), timeout=STEP_SECONDS)
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(STEP_SECONDS)
        peer.connect(self.path)
        return peer

    def open(self):
        if self.path is not None:
            return asyncio.open_unix_connection(self.path)
        return asyncio.open_connection(self.host, self.port)


def require_family(family):
    if family != "IPv6":
        return
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as problem:
        raise Skipped("no IPv6 here: %s" % problem)


def require_program(name):
    if shutil.which(name) is None:
        raise Skipped("%s is not installed" % name)


# ---- What is sent, and what is said ----


def some_bytes(size):
    return random.Random(size).getrandbits(8 * size).to_bytes(size, "big")


def assert_same(echo, payload):
    if echo == payload:
        return
    same = len(os.path.commonprefix([echo, payload]))
    raise AssertionError(
        "%d bytes came back of %d, of which the first %d are right"
        % (len(echo), len(payload), same)
    )


def check_refused(programs, name, arguments, words, **options):
    result = programs.run(name, *arguments, **options)
    said = result.stderr
    assert result.returncode == 1, "it ended with %d: %s" % (result.returncode, said)
    assert said.startswith(name + ": "), "it doesn't say who speaks: " + said
    assert said.count("\n") == 1, "it says more than a line: " + said
    for word in words:
        assert word in said, "it doesn't say '%s': %s" % (word, said)
