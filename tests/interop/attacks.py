"""The example servers under attack: clients that ask for much, or hold on to what they have. Each
server goes on to serve others soon, and keeps little memory for the attackers."""

import socket
import subprocess
import tempfile
import time

from files import get, make_tree
from harness import MEBIBYTE, STEP_SECONDS, Place, Server, environment
from key_value import read_exactly, resp
from metrics import scrape

ATTACKERS = 5


def run(cases, programs, poller, folder):
    one = "--poller=" + poller
    for name in HTTP_SERVERS:
        for attack in (endless_head, slow_head, slow_leaver):
            case = "%s stands %s, %s" % (name, attack.__name__, one)
            cases.run(case, serve_http, programs, name, [one], folder, attack)
    for attack in (many_big_replies, expensive_pattern, replies_not_taken):
        case = "key_value_server stands %s, %s" % (attack.__name__, one)
        cases.run(case, serve_key_value, programs, [one], attack)
    cases.run("a chat takes a whole file, " + one, chat_of_a_file, programs, poller)
    cases.run("a chat stands a flood, " + one, chat_flood, programs, poller)
    cases.run("echo_server stands who doesn't read, " + one, echo_not_taken, programs, poller)


def memory_of(server):
    """Kibibytes at the most."""
    with open("/proc/%d/status" % server.pid, encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def assert_memory(server, before, most, what):
    grown = (memory_of(server) - before) // 1024
    assert grown <= most, "%s cost %d MiB" % (what, grown)


# ---- HTTP ----


def file_of(server):
    assert get(server, "/small") == (200, b"hello\n"), "another client isn't served"


def metrics_of(server):
    scrape(server.addresses["metrics"])


HTTP_SERVERS = {"file_server": file_of, "metrics": metrics_of}


def serve_http(programs, name, flags, folder, attack):
    patience = "1" if attack is not endless_head else str(STEP_SECONDS)
    arguments = ["--listen=127.0.0.1:0", "--request-patience=" + patience, "--end-patience=1"]
    lines = 1
    if name == "metrics":
        arguments += ["--metrics=127.0.0.1:0", "--slow-turn=%d" % (1000 * STEP_SECONDS)]
        lines = 2
    else:
        arguments += ["--root=" + make_tree(folder)[0]]
    with Server(programs, arguments + flags, name=name, lines=lines) as server:
        ask = HTTP_SERVERS[name]
        place = Place(server.addresses["metrics"] if name == "metrics" else server.address)
        attack(server, place, lambda: ask(server))


def send_until_refused(peer, data, times):
    try:
        for _ in range(times):
            peer.sendall(data)
    except (ConnectionError, socket.timeout):
        pass


def endless_head(server, place, ask):
    ask()
    before = memory_of(server)
    peers = []
    for _ in range(ATTACKERS):
        peers.append(place.connect())
        send_until_refused(peers[-1], b"a" * MEBIBYTE, 20)
    assert_memory(server, before, 10, "heads without an end")
    # Byte by byte: what came before is not kept, and not looked at again.
    peer = place.connect()
    peers.append(peer)
    send_until_refused(peer, b"a", 8000)
    peer.sendall(b"\r\n\r\n")
    assert peer.recv(100).startswith(b"HTTP/1.0 4"), "a head that is no request"
    ask()
    for peer in peers:
        peer.close()


def until_closed(peer, data):
    """Sends now and then until the server has closed the connection."""
    deadline = time.monotonic() + STEP_SECONDS
    while time.monotonic() < deadline:
        try:
            peer.settimeout(0.1)
            peer.sendall(data)
            if not peer.recv(4096):
                peer.sendall(data)  # a half-closed one takes it
        except socket.timeout:
            continue
        except ConnectionError:
            return
    raise AssertionError("the connection is kept")


def slow_head(_server, place, ask):
    with place.connect() as peer:
        until_closed(peer, b"a")
    ask()


def slow_leaver(_server, place, ask):
    with place.connect() as peer:
        peer.sendall(b"GET /small HTTP/1.0\r\n\r\n")
        assert peer.recv(4096).startswith(b"HTTP/1.0 ")
        until_closed(peer, b"a")
    ask()


# ---- Redis' protocol ----


def serve_key_value(programs, flags, attack):
    with Server(programs, ["--listen=127.0.0.1:0"] + flags, "key_value_server") as server:
        place = Place(server.address)
        with place.connect() as peer:
            peer.sendall(resp(b"SET", b"big", b"x" * 1000000))
            assert read_exactly(peer, 5) == b"+OK\r\n"
        before = memory_of(server)
        attack(server, place, before)
        with place.connect() as peer:
            peer.sendall(b"PING\r\n")
            assert read_exactly(peer, 7) == b"+PONG\r\n"


def many_big_replies(server, place, before):
    with place.connect() as peer:
        peer.sendall(resp(b"MGET", *[b"big"] * 1500))
        answer = read_exactly(peer, 5)
        assert answer == b"-ERR ", "it answered %r" % answer
    assert_memory(server, before, 150, "MGET of 1,500 times 1 MB")


def expensive_pattern(_server, place, _before):
    with place.connect() as peer:
        peer.sendall(resp(b"SET", b"a" * 200000, b"1"))
        assert read_exactly(peer, 5) == b"+OK\r\n"
        for pattern in (b"*[" + b"b" * 5000 + b"a][c]", b"*" + b"a" * 2000 + b"b"):
            peer.sendall(resp(b"KEYS", pattern))
            assert read_exactly(peer, 5) == b"-ERR ", "it was searched for"
            while not read_exactly(peer, 1) == b"\n":
                pass


def replies_not_taken(server, place, before):
    """Asks again and again, and reads nothing."""
    with place.connect() as peer:
        peer.settimeout(1)
        send_until_refused(peer, resp(b"GET", b"big") * 1000, 1000)
        assert_memory(server, before, 100, "replies that aren't taken")


# ---- The others ----


def chat_of_a_file(programs, poller):
    """More than one read, and more than the sockets hold; from a regular file."""
    flags = ["--listen=127.0.0.1:0", "--poller=" + poller]
    with Server(programs, flags, "chat_server") as server, tempfile.TemporaryFile() as speech:
        words = b"".join(b"word %d\n" % number for number in range(20000))
        speech.write(words)
        speech.seek(0)
        with Place(server.address).connect() as listener:
            heard = listener.makefile("rb")
            heard.readline()
            command = [programs.path("chat_client"), "--connect=" + server.address]
            with subprocess.Popen(
                command + ["--poller=" + poller],
                stdin=speech,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment(),
            ) as client:
                try:
                    assert heard.readline() == b"guest 2 came\n"
                    for number in range(20000):
                        line = heard.readline()
                        assert line == b"guest 2: word %d\n" % number, repr(line)
                    assert heard.readline() == b"guest 2 went\n"
                    status = client.wait(timeout=STEP_SECONDS)
                    assert status == 0, "the client ended with %d: %r" % (
                        status, client.stderr.read())
                finally:
                    client.kill()


def chat_flood(programs, poller):
    """A line without an end, and a guest who doesn't listen."""
    flags = ["--listen=127.0.0.1:0", "--poller=" + poller]
    with Server(programs, flags, "chat_server") as server:
        place = Place(server.address)
        before = memory_of(server)
        with place.connect() as deaf, place.connect() as endless:
            endless.settimeout(1)
            send_until_refused(endless, b"a" * MEBIBYTE, 20)
            with place.connect() as speaker:
                speaker.settimeout(1)
                send_until_refused(speaker, b"a" * 1000 + b"\n", 20000)
            assert_memory(server, before, 150, "a flood")
            deaf.close()
        with place.connect() as guest:
            assert guest.recv(100).startswith(b"You are guest ")


def echo_not_taken(programs, poller):
    flags = ["--listen=127.0.0.1:0", "--poller=" + poller]
    with Server(programs, flags) as server:
        place = Place(server.address)
        before = memory_of(server)
        peers = []
        for _ in range(ATTACKERS):
            peers.append(place.connect())
            peers[-1].settimeout(0.5)
            send_until_refused(peers[-1], b"a" * MEBIBYTE, 50)
        assert_memory(server, before, 50, "echoes that aren't taken")
        with place.connect() as other:
            other.sendall(b"hello")
            assert read_exactly(other, 5) == b"hello"
        for peer in peers:
            peer.close()
