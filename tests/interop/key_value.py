"""The key-value server among clients that nobody here wrote: redis-cli and redis-benchmark; and one
of our own, which pipelines, splits, and breaks the protocol."""

import socket
import subprocess

from harness import STEP_SECONDS, Place, Server, require_program

PIPELINED = 5000


def run(cases, programs, poller):
    for threads in ["0", "2"]:
        label = "%s, %s threads" % (poller, threads)
        arguments = ["--listen=127.0.0.1:0", "--poller=" + poller, "--threads=" + threads]

        def serve():
            with Server(programs, arguments, "key_value_server") as server:
                place = Place(server.address)
                for check in [cli, expiry, benchmark, pipelined, split, broken, quits, cut_off]:
                    cases.run("%s of keys and values on %s" % (check.__name__, label), check, place)

        cases.run("the key-value server on %s begins and ends" % label, serve)


# ---- Clients of Redis ----


def redis(place, *command):
    """What redis-cli says to a command."""
    require_program("redis-cli")
    result = subprocess.run(
        ["redis-cli", "-h", place.host, "-p", str(place.port)] + list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=STEP_SECONDS,
    )
    assert result.stderr == "", result.stderr
    return result.stdout.rstrip("\n")


def expect(place, command, answer):
    said = redis(place, *command)
    assert said == answer, "%s: it said %r, not %r" % (" ".join(command), said, answer)


def cli(place):
    for command, answer in [
        (["FLUSHALL"], "OK"),
        (["PING"], "PONG"),
        (["SET", "with space", "a\nb"], "OK"),
        (["GET", "with space"], "a\nb"),
        (["SET", "with space", "c", "NX"], ""),
        (["INCRBY", "number", "42"], "42"),
        (["MGET", "number", "nothing"], "42\n"),
        (["EXISTS", "number", "nothing"], "1"),
        (["DBSIZE"], "2"),
        (["--scan", "--pattern", "num*"], "number"),
        (["DEL", "number", "with space"], "2"),
        (["KEYS", "*"], ""),
        (["NOSUCH"], "ERR unknown command 'NOSUCH'"),
        (["INCR"], "ERR wrong number of arguments for 'incr' command"),
    ]:
        said = redis(place, *command)
        assert said.strip("\n") == answer.strip("\n"), "%s: %r" % (command, said)


def expiry(place):
    expect(place, ["SET", "short", "life", "PX", "1"], "OK")
    answer = redis(place, "GET", "short")
    assert answer in ("life", ""), answer
    expect(place, ["SET", "long", "life", "EX", "1000"], "OK")
    left = int(redis(place, "TTL", "long"))
    assert 900 <= left <= 1000, "%d seconds are left" % left
    expect(place, ["PERSIST", "long"], "1")
    expect(place, ["TTL", "long"], "-1")
    with place.connect() as peer:
        while True:  # it goes by itself
            peer.sendall(b"GET short\r\n")
            if read_exactly(peer, 3) == b"$-1":
                break
            read_exactly(peer, len(b"\r\nlife\r\n") - 1)


def benchmark(place):
    require_program("redis-benchmark")
    result = subprocess.run(
        ["redis-benchmark", "-h", place.host, "-p", str(place.port), "-t", "set,get,incr,mset,ping"]
        + ["-P", "16", "-c", "20", "-n", "20000", "-r", "1000", "--csv"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=STEP_SECONDS,
    )
    assert result.returncode == 0, result.stdout
    for trouble in ["WARN", "ERR", "rror"]:
        assert trouble not in result.stdout, result.stdout
    for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]:
        assert '"%s",' % test in result.stdout, "no result of %s: %s" % (test, result.stdout)
    # What it has set, another client finds.
    assert int(redis(place, "DBSIZE")) > 500


# ---- A client of our own ----


def resp(*words):
    """A command as programs write it."""
    pieces = [b"*%d\r\n" % len(words)]
    for word in words:
        pieces.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(pieces)


def read_exactly(peer, size):
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        assert piece, "the server closed the connection after %r" % data[-100:]
        data += piece
    return data


def read_to_the_end(peer):
    data = b""
    while True:
        piece = peer.recv(1 << 16)
        if not piece:
            return data
        data += piece


def pipelined(place):
    commands = b"".join(
        resp(b"SET", b"p%d" % i, b"%d" % i) + resp(b"GET", b"p%d" % i) for i in range(PIPELINED)
    )
    expected = b"".join(b"+OK\r\n$%d\r\n%d\r\n" % (len(b"%d" % i), i) for i in range(PIPELINED))
    with place.connect() as peer:
        peer.sendall(commands)
        answer = read_exactly(peer, len(expected))
    assert answer == expected, "wrong answers, or in the wrong order"


def split(place):
    commands = (
        resp(b"SET", b"s", b"\r\n$1\r\n") + b"GET s\r\nECHO \"a b\"\n"
        + resp(b"DEL", b"s") + b"\r\n" + resp(b"PING")
    )
    expected = b"+OK\r\n$6\r\n\r\n$1\r\n\r\n$3\r\na b\r\n:1\r\n+PONG\r\n"
    with place.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(len(commands) + 1):
            peer.sendall(commands[:cut])
            peer.sendall(commands[cut:])
            answer = read_exactly(peer, len(expected))
            assert answer == expected, "cut at %d: %r" % (cut, answer)
        for byte in commands:
            peer.sendall(bytes([byte]))
        assert read_exactly(peer, len(expected)) == expected


def broken(place):
    """The commands before are answered, the mistake is told, and the connection ends."""
    for mistake in [b"*x\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\nx\r\n", b"'a\r\n"]:
        with place.connect() as peer:
            peer.sendall(resp(b"PING") + mistake)
            answer = read_to_the_end(peer)
            assert answer.startswith(b"+PONG\r\n-ERR Protocol error: "), repr(answer)


def quits(place):
    with place.connect() as peer:
        peer.sendall(b"SET q 1\r\nQUIT\r\nSET q 2\r\n")
        assert read_to_the_end(peer) == b"+OK\r\n+OK\r\n"
    expect(place, ["GET", "q"], "1")


def cut_off(place):
    """Who goes in the middle of a command changes nothing, and disturbs nobody."""
    expect(place, ["SET", "c", "before"], "OK")
    command = resp(b"SET", b"c", b"after")
    with place.connect() as peer:
        peer.sendall(command[:-1])
        peer.shutdown(socket.SHUT_WR)
        assert read_to_the_end(peer) == b""
    expect(place, ["GET", "c"], "before")
