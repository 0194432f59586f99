"""The relay: what goes through it, how little memory it takes, and how it restarts."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

from harness import MEBIBYTE, STEP_SECONDS, Place, Server, Skipped, assert_same, some_bytes

TRANSFER_BYTES = 256 << 20
MOST_GROWTH_BYTES = 32 << 20
# What a relay is left with, less than it takes before it reads no more.
KEPT_BYTES = 128 << 10
PIECE_BYTES = 32 << 10


def run(cases, programs, poller, folder):
    one = ["--poller=" + poller]
    for flags in (one, one + ["--threads=2"]):
        kind = " ".join(flags)
        cases.run("an echo through a relay, " + kind, check_echo, programs, flags, folder)
        cases.run("a half-close through a relay, " + kind, check_half_close, programs, flags)
        cases.run("a relay ends behind its queues, " + kind, check_drain, programs, flags)
    cases.run("a relay's memory, " + poller, check_bounded_memory, programs, one)
    cases.run("a relay to nobody, " + poller, check_dead_target, programs, one)
    cases.run("a relay restarts, " + poller, check_restart, programs, one)


class Relay(Server):
    def __init__(self, programs, to, flags, listen="127.0.0.1:0"):
        arguments = ["--listen=" + listen, "--connect=" + to] + flags
        super().__init__(programs, arguments, name="relay")


def talk(place):
    """Much more than the buffers hold, there and back, and the end behind it."""
    payload = some_bytes(4 * MEBIBYTE)
    failures = []
    with place.connect() as peer:
        pouring = threading.Thread(target=pour, args=(peer, len(payload), failures, payload))
        pouring.start()
        echo = b"".join(iter(lambda: peer.recv(1 << 16), b""))
        pouring.join()
    assert not failures, "the writer failed: %s" % failures
    assert_same(echo, payload)


def check_echo(programs, flags, folder):
    with Server(programs, ["--listen=127.0.0.1:0"]) as echo:
        with Relay(programs, echo.address, flags) as relay:
            talk(Place(relay.address))
        path = "unix:" + os.path.join(folder, "relay.sock")
        with Relay(programs, echo.address, flags, listen=path) as relay:
            talk(Place(relay.address))


def resident_bytes(pid):
    with open("/proc/%d/status" % pid) as status:
        kibibytes = re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)
    return int(kibibytes) << 10


def pour(into, size, failures, block):
    try:
        for at in range(0, size, len(block)):
            into.sendall(block[: size - at])
        into.shutdown(socket.SHUT_WR)
    except OSError as problem:
        failures.append(problem)


def check_bounded_memory(programs, flags):
    """A writer as fast as it can be, a reader that takes its time: the relay stays small."""
    if not os.path.exists("/proc/self/status"):
        raise Skipped("the memory of a process is read from /proc")
    most = growth(programs, flags, TRANSFER_BYTES)
    assert most < MOST_GROWTH_BYTES, "the relay grew by %d bytes" % most


def growth(programs, flags, size):
    """By how many bytes a relay grows while so much goes through it. Every byte is compared."""
    block = some_bytes(1 << 20)
    failures = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(STEP_SECONDS)
        to = "127.0.0.1:%d" % listener.getsockname()[1]
        with Relay(programs, to, flags) as relay:
            with Place(relay.address).connect() as writer:
                reader = listener.accept()[0]
                reader.settimeout(STEP_SECONDS)
                idle = resident_bytes(relay.pid)
                pouring = threading.Thread(target=pour, args=(writer, size, failures, block))
                pouring.start()
                with reader:
                    received, most = take_slowly(reader, block, relay.pid)
                pouring.join()
    assert not failures, "the writer failed: %s" % failures
    assert received == size, "only %d bytes arrived" % received
    return most - idle


def take_slowly(reader, block, pid):
    """All that comes, which is the block over and over: how much, and the most that the process
    had in memory meanwhile."""
    received = most = 0
    while True:
        some = reader.recv(1 << 20)
        if not some:
            return received, most
        at = received % len(block)
        expected = block[at : at + len(some)]
        expected += block[: len(some) - len(expected)]
        assert some == expected, "byte %d or a later one is wrong" % received
        if received >> 24 != (received + len(some)) >> 24:
            time.sleep(0.02)  # slow: all buffers fill while nobody reads
            most = max(most, resident_bytes(pid))
        received += len(some)


def check_half_close(programs, flags):
    """The answer comes after the end of the question, and the whole of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(STEP_SECONDS)
        with Relay(programs, "127.0.0.1:%d" % listener.getsockname()[1], flags) as relay:
            with Place(relay.address).connect() as client:
                client.sendall(b"question")
                client.shutdown(socket.SHUT_WR)
                server = listener.accept()[0]
                with server:
                    server.settimeout(STEP_SECONDS)
                    question = b"".join(iter(lambda: server.recv(100), b""))
                    assert question == b"question", "it heard %r" % question
                    server.sendall(some_bytes(MEBIBYTE))
                answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
                assert_same(answer, some_bytes(MEBIBYTE))


def check_dead_target(programs, flags):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        to = "127.0.0.1:%d" % closed.getsockname()[1]
        relay = Relay(programs, to, flags)
        try:
            with relay:
                with Place(relay.address).connect() as client:
                    assert client.recv(1) == b"", "it gave an answer from nowhere"
                assert "refused" in relay.said(), "it doesn't say why: " + relay.said()
                relay.errors.truncate(0)
        finally:
            relay.errors.close()


def check_restart(programs, flags):
    """A successor takes the port; the old one serves whom it has, and ends by itself."""
    if not os.path.exists("/proc/net/tcp"):
        raise Skipped("who listens is read from /proc")
    with Server(programs, ["--listen=127.0.0.1:0"]) as echo:
        old = Relay(programs, echo.address, flags)
        with old:
            with Place(old.address).connect() as client:
                client.sendall(b"before")
                assert client.recv(6) == b"before"
                with Relay(programs, echo.address, flags, listen=old.address) as new:
                    os.kill(old.pid, signal.SIGHUP)
                    wait_until_no_listener(old.pid)
                    client.sendall(b"in flight")
                    assert client.recv(9) == b"in flight", "the old one dropped its connection"
                    with Place(new.address).connect() as newcomer:
                        newcomer.sendall(b"after")
                        assert newcomer.recv(5) == b"after"
                    client.close()
                    status = old.process.wait(timeout=STEP_SECONDS)
                    assert status == 0, "the old one ended with %d" % status
            old.stop = lambda: None


def check_drain(programs, flags):
    """The client has gone, and the other side has not yet taken what the relay keeps for it."""
    if not os.path.exists("/proc/self/fd") or not os.path.exists("/proc/net/tcp"):
        raise Skipped("the sockets of a process and their queues are read from /proc")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        listener.settimeout(STEP_SECONDS)
        with Relay(programs, "127.0.0.1:%d" % listener.getsockname()[1], flags) as relay:
            idle = count_sockets(relay.pid)
            with Place(relay.address).connect() as client, listener.accept()[0] as server:
                server.settimeout(STEP_SECONDS)
                server.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b"", "it gave an answer from nowhere"
                sent = send_until_kept(client, server, KEPT_BYTES)
                client.shutdown(socket.SHUT_WR)
                wait_until(lambda: count_sockets(relay.pid) == idle + 1, "the client stays")
                os.kill(relay.pid, signal.SIGHUP)
                wait_until_no_listener(relay.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    relay.process.wait(timeout=0.3)  # in which it may not end
                received = sum(map(len, iter(lambda: server.recv(1 << 14), b"")))
                assert received == sent, "of %d bytes %d arrived" % (sent, received)
            status = relay.process.wait(timeout=STEP_SECONDS)
            assert status == 0, "it ended with %d" % status
            relay.stop = lambda: None


def send_until_kept(client, server, size):
    """Sends until the relay itself keeps so much, since no kernel takes more for a server that
    doesn't read; answers how much was sent."""
    sent = 0
    relay, upstream = client.getpeername()[1], server.getpeername()[1]
    before = [(client.getsockname()[1], relay), (relay, client.getsockname()[1])]
    behind = [(upstream, server.getsockname()[1]), (server.getsockname()[1], upstream)]
    deadline = time.monotonic() + STEP_SECONDS
    while time.monotonic() < deadline:
        queued = kernel_queues()
        # The table is no snapshot: who isn't in it this time counts as not done.
        if any(queued.get(ends, 1) > 0 for ends in before):
            time.sleep(0.001)  # a piece at a time: who has too much doesn't read to the end
        elif sent - sum(queued.get(ends, sent) for ends in behind) >= size:
            return sent
        else:
            client.sendall(some_bytes(PIECE_BYTES))
            sent += PIECE_BYTES
    raise AssertionError("of %d bytes the relay keeps too few" % sent)


def tcp_table():
    """The words of each row, without the head."""
    with open("/proc/net/tcp") as table:
        return [line.split() for line in table][1:]


def kernel_queues():
    """By the ports of its two ends: what a TCP socket has, sent or come, that nobody took yet."""
    rows = tcp_table()
    ports = [tuple(int(end.split(":")[1], 16) for end in row[1:3]) for row in rows]
    return dict(zip(ports, (sum(int(size, 16) for size in row[4].split(":")) for row in rows)))


def sockets_of(pid):
    """The numbers by which the kernel knows them."""
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):
            said = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
            if said:
                yield said.group(1)


def count_sockets(pid):
    return len(list(sockets_of(pid)))


def wait_until(holds, otherwise):
    deadline = time.monotonic() + STEP_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError(otherwise)


def wait_until_no_listener(pid):
    """Until the process has no listening socket: the kernel says which are."""

    def listens():
        listening = {row[9] for row in tcp_table() if row[3] == "0A"}
        return listening & set(sockets_of(pid))

    wait_until(lambda: not listens(), "the old one still listens")
