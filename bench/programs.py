"""The programs of the bench: the servers by their names, and how they run and are given work."""

import contextlib
import json
import os
import re
import signal
import subprocess

STEP_SECONDS = 300

FLOORS = ["raw_epoll_level", "raw_epoll_edge", "raw_poll", "raw_select"]
PEERS = ["libevent", "libuv", "libev", "asio"]
BACKENDS = ["epoll", "poll", "select"]
OUR_SERVERS = {
    "pollard": "pollard_echo",
    "pollard_lto": "pollard_echo_lto",
    "pollard_requests": "pollard_requests",
}
OURS = ["pollard " + backend for backend in BACKENDS]


class Failed(Exception):
    """A program of the bench did not do what it was asked."""


_running = set()  # processes of servers


def kill_processes(processes):
    for process in list(processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def end_with_servers():
    """When this program is asked to end, its servers don't outlive it."""

    def end(number, _frame):
        kill_processes(_running)
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


class Programs:
    """What was built in a folder."""

    def __init__(self, build_folder):
        self.folder = os.path.join(build_folder, "bench")

    def path(self, name):
        return os.path.join(self.folder, name)

    def has(self, server):
        return os.path.exists(self.command(server)[0])

    def has_parts(self):
        return os.path.exists(self.path("parts"))

    def servers(self):
        """All that were built."""
        return [server for server in FLOORS + PEERS + OURS if self.has(server)]

    def part(self, server, kind):
        """The program of that kind ("timers", "posts", "pipes") for the library of a server; None
        where there is none."""
        path = self.path("%s_%s" % (server.split()[0], kind))
        return [path] if os.path.exists(path) else None

    def command(self, server):
        """Of a server: a floor or a peer by its name, ours as "pollard BACKEND"; options follow."""
        name, *options = server.split()
        if name in OUR_SERVERS:
            return [self.path(OUR_SERVERS[name]), "--poller=" + options[0]] + options[1:]
        suffix = "_echo" if name in PEERS else ""
        return [self.path(name + suffix)] + options

    def load(self, server, pinned=None, **options):
        """Gives a running server work, and returns what the load generator says. Options are the
        generator's, with underscores; True is a flag."""
        command = [self.path("load"), "--port=%d" % server.port, "--server=%d" % server.pid]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            command += [flag] if value is True else ["%s=%s" % (flag, value)]
        return json.loads(output_of(placed(command, pinned)))


def output_of(command):
    """What a program prints until its end, which has to be a good one."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=STEP_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise Failed("%s: %s" % (" ".join(command), done.stderr.decode().strip()))
    return done.stdout


def placed(command, processor, modest=False):
    """The command on one processor, where one is given. A modest process runs when no other there
    wants to: beside a load generator, it finds all messages of a round when it wakes."""
    if modest:
        command = ["chrt", "--idle", "0"] + command
    if processor is not None:
        command = ["taskset", "--cpu-list", str(processor)] + command
    return command


class Server:
    """A server while it runs: `with Server(command) as server`. Its end is checked."""

    def __init__(self, command, pinned=None, modest=False):
        self.process = subprocess.Popen(
            placed(command, pinned, modest), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        line = self.process.stdout.readline().decode()
        match = re.match(r"listening on 127\.0\.0\.1:(\d+) as process (\d+)", line)
        if not match:
            self.process.kill()
            raise Failed("%s: %s" % (" ".join(command), self.process.communicate()[1].decode()))
        self.port, self.pid = int(match.group(1)), int(match.group(2))
        self.report = None  # what it says of itself, when it has ended
        # A tracer that is killed lets go of the server, so both are.
        self.processes = {self.pid, self.process.pid}
        _running.update(self.processes)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            kill_processes(self.processes)
        else:
            os.kill(self.pid, signal.SIGTERM)
        output, errors = self.process.communicate(timeout=STEP_SECONDS)
        _running.difference_update(self.processes)
        if kind is not None:
            return
        status = self.process.returncode
        if status != 0:
            raise Failed("a server ended with status %d: %s" % (status, errors.decode()))
        self.report = json.loads(output.decode().splitlines()[-1])
