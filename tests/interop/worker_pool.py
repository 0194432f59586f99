"""The worker pool: right answers in order, and slow ones that keep nobody else waiting."""

import os
import re
import signal
import socket
import struct
import subprocess
import time

from harness import STEP_SECONDS, Place, Server, require_program

# A prime that takes hours by trial division, and one that takes a moment.
HOPELESS = 18446744073709551557
MODERATE = 1000003 * 1000033


def run(cases, programs, poller):
    for threads in ["0", "2"]:
        label = "%s, %s threads" % (poller, threads)
        flags = ["--listen=127.0.0.1:0", "--poller=" + poller, "--threads=" + threads]
        flags.append("--workers=2")

        def serve():
            with Server(programs, flags, "worker_pool") as server:
                place = Place(server.address)
                cases.run("answers in order on " + label, answers_in_order, place)
                cases.run("strangers ask workers on " + label, strangers, place)
                cases.run("a slow answer keeps one waiting on " + label, slow_keeps_one, place)

        cases.run("workers on %s begin and end" % label, serve)
    cases.run("workers end what they are at on " + poller, graceful, programs, poller)


def factors(number):
    rest, found, divisor = number, [], 2
    while divisor * divisor <= rest:
        while rest % divisor == 0 and rest > divisor:
            found.append(divisor)
            rest //= divisor
        divisor += 1
    return "%d = %s\n" % (number, " * ".join(map(str, found + [rest])))


def read_lines(peer, count):
    heard = b""
    while heard.count(b"\n") < count:
        piece = peer.recv(65536)
        assert piece, "the server closed the connection after %r" % heard
        heard += piece
    return heard.decode()


def answers_in_order(place):
    numbers = list(range(2, 400))
    with place.connect() as peer:
        peer.sendall("".join("%d\n" % number for number in numbers).encode())
        heard = read_lines(peer, len(numbers))
        assert heard == "".join(map(factors, numbers)), "wrong answers: %s" % heard[:200]
        peer.sendall(b"12x\n99999999999999999999\n")
        heard = read_lines(peer, 2)
        assert heard.count("error: ") == 2, "nonsense is answered by " + heard
        peer.sendall(b"1" * 1000)
        assert read_lines(peer, 1) == "error: no number is so long\n"
        assert peer.recv(1) == b"", "the connection goes on"


def strangers(place):
    socat = ["socat", "-t%d" % STEP_SECONDS, "-", place.socat()]
    for command in [["nc", "-N"] + place.nc(), socat]:
        require_program(command[0])
        result = subprocess.run(
            command, input=b"%d\n97\n" % MODERATE, stdout=subprocess.PIPE, timeout=STEP_SECONDS
        )
        wanted = "%d = 1000003 * 1000033\n97 = 97\n" % MODERATE
        assert result.stdout.decode() == wanted, "%s heard %r" % (command[0], result.stdout)


def slow_keeps_one(place):
    with place.connect() as slow, place.connect() as quick:
        slow.sendall(b"%d\n2\n" % HOPELESS)
        for _ in range(100):
            quick.sendall(b"6\n")
            assert read_lines(quick, 1) == "6 = 2 * 3\n"
        deadline = time.monotonic() + STEP_SECONDS
        status = ""
        while not re.search(r"connections 2, .*workers 2, busy 2,", status):
            assert time.monotonic() < deadline, "it says " + status
            quick.sendall(b"status\n")
            status = read_lines(quick, 1)
        slow.setblocking(False)
        try:
            raise AssertionError("it is answered out of order: %r" % slow.recv(100))
        except BlockingIOError:
            pass
        # Who resets waits for no answer, and so the worker gives up.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def graceful(programs, poller):
    """Asked once, it answers what it is at; asked twice, it ends although it is at something."""
    flags = ["--listen=127.0.0.1:0", "--poller=" + poller, "--workers=1"]
    with Server(programs, flags, "worker_pool") as server:
        with Place(server.address).connect() as peer:
            peer.sendall(b"6\n")
            read_lines(peer, 1)
            peer.sendall(b"%d\n" % MODERATE)
            os.kill(server.pid, signal.SIGTERM)
            heard = b"".join(iter(lambda: peer.recv(65536), b"")).decode()
            assert heard in ["", "%d = 1000003 * 1000033\n" % MODERATE], "it said %r" % heard
    with Server(programs, flags, "worker_pool") as server:
        peer = Place(server.address).connect()
        peer.sendall(b"%d\n" % HOPELESS)
        os.kill(server.pid, signal.SIGINT)
    peer.close()
