"""What all programs do alike: tell how they are used, and end in good order when they are asked
to, by kill or Ctrl-C."""

import os
import signal
import socket
import subprocess

from harness import ROOT, STEP_SECONDS, Server, environment

ANY_PORT = "--listen=127.0.0.1:0"
# What to begin each server with, and how many lines say where it listens.
SERVERS = {
    "chat_server": ([ANY_PORT], 1),
    "custom_poller": ([ANY_PORT], 1),
    "echo_server": ([ANY_PORT], 1),
    "file_server": ([ANY_PORT, "--root=" + os.path.join(ROOT, "docs")], 1),
    "key_value_server": ([ANY_PORT], 1),
    "metrics": ([ANY_PORT, "--metrics=127.0.0.1:0"], 2),
    "relay": ([ANY_PORT, "--connect=127.0.0.1:1"], 1),
    "services": (["--listen=127.0.0.1", "--any-port"], 5),
    "worker_pool": ([ANY_PORT], 1),
}
OTHERS = ["chat_client", "echo_client", "pollers", "simulated_chat", "timer", "watch_stdin"]
SIGNALS = [signal.SIGINT, signal.SIGTERM]
# Nobody has a connection whose end would be worth waiting for.
SOON_SECONDS = 4


def run(cases, programs):
    for name in list(SERVERS) + OTHERS:
        cases.run(name + " tells how it is used", check_help, programs, name)
    for by in SIGNALS:
        for name in SERVERS:
            cases.run("%s ends by %s" % (name, by.name), check_server_ends, programs, name, by)
        case = "%s ends by " + by.name
        cases.run(case % "timer", check_ends, programs, ["timer"], by)
        cases.run(case % "watch_stdin", check_ends, programs, ["watch_stdin"], by)
        cases.run(case % "chat_client", check_client_ends, programs, "chat_client", by)
        cases.run(case % "echo_client", check_client_ends, programs, "echo_client", by)
        told = "echo_client tells what it measured until " + by.name
        cases.run(told, check_result_told, programs, by)


def check_help(programs, name):
    told = programs.run(name, "--help")
    assert told.returncode == 0, "it ended with %d: %s" % (told.returncode, told.stderr)
    # The poller of the user's own is the only one that its program takes.
    words = ["--help"] + ["--poller"] * (name != "custom_poller")
    threaded = name == "echo_client" or (name in SERVERS and name != "custom_poller")
    words += ["--threads"] * threaded
    for word in words:
        assert word in told.stdout, "it doesn't tell of %s: %s" % (word, told.stdout)


def check_server_ends(programs, name, by):
    arguments, lines = SERVERS[name]
    with Server(programs, arguments, name, lines=lines) as server:
        server.stop(by, within=SOON_SECONDS)
        server.stop = lambda: None


def check_ends(programs, command, by, until=None):
    """A program that says something when it has begun, or has connected `until`()."""
    process = subprocess.Popen(
        [programs.path(command[0])] + command[1:],
        stdin=subprocess.PIPE,  # open, and silent
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        if until is None:
            assert process.stdout.readline(), "it didn't begin"
        else:
            until()
        process.send_signal(by)
        status = process.wait(timeout=SOON_SECONDS)
        assert status == 0, "it ended with %d" % status
        return process.stdout.read().decode()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def check_client_ends(programs, name, by):
    """While it waits for a server that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(STEP_SECONDS)
        command = [name, "--connect=127.0.0.1:%d" % listener.getsockname()[1]]
        served = []
        check_ends(programs, command, by, until=lambda: served.append(listener.accept()[0]))
        served[0].close()


def check_result_told(programs, by):
    """In the middle of its work, which would take it much longer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(STEP_SECONDS)
        served = []

        def until():
            served.append(listener.accept()[0])
            served[0].settimeout(STEP_SECONDS)
            served[0].sendall(served[0].recv(64, socket.MSG_WAITALL))
            assert served[0].recv(1), "it doesn't go on"  # so the first echo has been counted

        to = "--connect=127.0.0.1:%d" % listener.getsockname()[1]
        command = ["echo_client", to, "--message-bytes=64"]
        told = check_ends(programs, command, by, until)
        served[0].close()
    assert " 1 round trips of 64 bytes" in told, "it tells: " + told
