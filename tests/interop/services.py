"""The services of RFC 862 to 868, and names: what clients that nobody here wrote get from them."""

import calendar
import random
import re
import socket
import subprocess
import time

from harness import (
    STEP_SECONDS,
    Place,
    Server,
    Skipped,
    assert_same,
    check_refused,
    require_family,
    require_program,
    some_bytes,
)

NAMES = ["echo", "discard", "daytime", "chargen", "time"]
SECONDS_FROM_1900_TO_1970 = 2208988800
PATTERN_LINES = 95


def run(cases, programs, poller):
    for threads in ["0", "2"]:
        label = "%s, %s threads" % (poller, threads)
        arguments = ["--listen=localhost", "--any-port", "--poller=" + poller]
        arguments.append("--threads=" + threads)

        def serve():
            with Server(programs, arguments, "services", lines=len(NAMES)) as server:
                assert list(server.addresses) == NAMES, "it serves %s" % list(server.addresses)
                # localhost may be two addresses, of which the first will do.
                places = {
                    name: Place(text.split(",")[0]) for name, text in server.addresses.items()
                }
                for check in [echo, discard, daytime, seconds, chargen, chargen_to_the_lazy]:
                    cases.run("%s on %s" % (check.__name__, label), check, places)

        cases.run("the services on %s begin and end" % label, serve)
    cases.run("the services with an offset on " + poller, with_offset, programs, poller)
    cases.run("every interface on " + poller, every_interface, programs, poller)
    cases.run("a client finds its server's name on " + poller, by_name, programs, poller)
    cases.run("a name that nobody knows on " + poller, unknown_names, programs, poller)
    cases.run("bad options of services on " + poller, bad_options, programs, poller)


def with_offset(programs, poller):
    """Their own ports, moved to where nobody listens: found by trying, for others live here too."""
    ports = {"echo": 7, "discard": 9, "daytime": 13, "chargen": 19, "time": 37}
    for tries_left in reversed(range(10)):
        offset = random.randrange(10000, 30000)
        arguments = ["--offset=%d" % offset, "--poller=" + poller]
        try:
            with Server(programs, arguments, "services", lines=len(NAMES)) as server:
                said = {name: Place(text).port - offset for name, text in server.addresses.items()}
                assert said == ports, "it listens on %s" % server.addresses
                return
        except AssertionError as problem:
            if "in use" not in str(problem) or tries_left == 0:
                raise


def received(program, place):
    """What a program gets that sends nothing, until the server ends."""
    require_program(program[0])
    return subprocess.run(
        program + place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        timeout=STEP_SECONDS,
    ).stdout


def echo(places):
    with places["echo"].connect() as peer:
        payload = some_bytes(100000)
        peer.sendall(payload)
        peer.shutdown(socket.SHUT_WR)
        assert_same(read_to_the_end(peer), payload)


def discard(places):
    with places["discard"].connect() as peer:
        peer.sendall(some_bytes(1 << 20))
        peer.shutdown(socket.SHUT_WR)
        answer = read_to_the_end(peer)
        assert answer == b"", "it answered %r" % answer


def daytime(places):
    for program, place in [(["nc", "-d"], places["daytime"].nc()),
                           (["socat", "-u"], [places["daytime"].socat(), "-"])]:
        text = received(program, place).decode()
        assert re.fullmatch(r"\w+, \w+ \d\d, \d{4} \d\d:\d\d:\d\d-UTC\r\n", text), repr(text)
        said = calendar.timegm(time.strptime(text.strip(), "%A, %B %d, %Y %H:%M:%S-UTC"))
        assert abs(said - time.time()) < STEP_SECONDS, "a clock that is wrong: " + text


def seconds(places):
    with places["time"].connect() as peer:
        said = read_to_the_end(peer)
    assert len(said) == 4, "%d bytes instead of 4" % len(said)
    said = int.from_bytes(said, "big") - SECONDS_FROM_1900_TO_1970 % (1 << 32)
    assert abs(said - time.time()) < STEP_SECONDS, "%d seconds since 1970" % said


def pattern():
    printing = "".join(chr(code) for code in range(32, 127)) * 2
    return "".join(printing[line:line + 72] + "\r\n" for line in range(PATTERN_LINES)).encode()


def chargen(places):
    """Two who listen at a time, each as much as he likes, and each gets the pattern."""
    wanted = pattern() * 200
    with places["chargen"].connect() as first, places["chargen"].connect() as second:
        for peer in [first, second, first, second]:
            peer.sendall(b"whatever")
            assert_same(read_exactly(peer, len(wanted)), wanted)
        # The others are served meanwhile.
        with places["time"].connect() as third:
            assert len(read_to_the_end(third)) == 4


def chargen_to_the_lazy(places):
    """Who doesn't listen keeps nobody from being served, and ends when he likes."""
    with places["chargen"].connect():
        with places["echo"].connect() as peer:
            peer.sendall(b"still there?")
            assert read_exactly(peer, 12) == b"still there?"


def read_exactly(peer, size):
    data = bytearray()
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


def read_to_the_end(peer):
    data = bytearray()
    while True:
        piece = peer.recv(1 << 16)
        if not piece:
            return bytes(data)
        data += piece


def every_interface(programs, poller):
    require_family("IPv6")
    arguments = ["--listen=*:0", "--poller=" + poller]
    with Server(programs, arguments) as server:
        places = [Place(address) for address in server.address.split(",")]
        hosts = [place.host for place in places]
        assert hosts == ["::", "0.0.0.0"], "it listens on %s" % server.address
        assert places[0].port == places[1].port
        for host in ["127.0.0.1", "::1"]:
            with socket.create_connection((host, places[0].port), timeout=STEP_SECONDS) as peer:
                peer.sendall(b"echo")
                assert read_exactly(peer, 4) == b"echo"


def localhost():
    try:
        return socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)[0][4][0]
    except OSError as problem:
        raise Skipped("this machine doesn't know itself: %s" % problem)


def by_name(programs, poller):
    localhost()
    with Server(programs, ["--listen=localhost:0", "--poller=" + poller]) as server:
        port = Place(server.address.split(",")[0]).port
        result = programs.run(
            "echo_client",
            "--connect=localhost:%d" % port,
            "--connections=20",
            "--round-trips=2000",
            "--poller=" + poller,
        )
        assert result.returncode == 0, result.stderr


# A service that nobody knows is told by this machine alone; a host would be asked for elsewhere.
def unknown_names(programs, poller):
    words = ["look up localhost:no-such-service", "no service of that name"]
    arguments = ["--listen=localhost:no-such-service", "--poller=" + poller]
    check_refused(programs, "echo_server", arguments, words)


def bad_options(programs, poller):
    for arguments, words in [
        (["--listen=no host"], ["address 'no host:7007'", "wanted is"]),
        (["--listen=127.0.0.1:80"], ["address '127.0.0.1:80:7007'", "wanted is"]),
    ]:
        check_refused(programs, "services", arguments + ["--poller=" + poller], words)
