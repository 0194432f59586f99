"""The metrics: what Prometheus would read of them."""

import http.client
import re
import socket
import struct
import time

from harness import STEP_SECONDS, Place, Server


def run(cases, programs, poller):
    one = ["--poller=" + poller]
    for flags, threads in ((one, 1), (one + ["--threads=2"], 2)):
        cases.run("metrics, " + " ".join(flags), check_metrics, programs, flags, threads)


SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? '
    r"([+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf|NaN))$"
)


def parse_exposition(text):
    """Prometheus' text format 0.0.4: {name: {labels: value}}; what breaks it is an error."""
    assert text.endswith("\n"), "the last line has no end"
    types, helps, samples = {}, set(), {}
    current = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            assert current not in helps, "two HELP lines for " + current
            assert current not in samples, "HELP behind samples of " + current
            helps.add(current)
        elif line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            assert name not in types, "two TYPE lines for " + name
            assert name not in samples, "TYPE behind samples of " + name
            assert kind in ("counter", "gauge"), "a type of its own: " + kind
            assert kind != "counter" or name.endswith("_total"), name + " is no counter's name"
            types[name] = kind
            current = name
        else:
            said = SAMPLE.match(line)
            assert said, "not a sample: %r" % line
            name, labels, value = said.groups()
            assert name == current, "a sample of %s among those of %s" % (name, current)
            family = samples.setdefault(name, {})
            assert labels not in family, "the same sample twice: " + line
            family[labels] = float(value)
    assert set(types) == set(samples) == helps, "HELP, TYPE and samples don't match"
    return samples


def scrape(address):
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=STEP_SECONDS)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        kind = response.getheader("Content-Type")
        assert kind.startswith("text/plain; version=0.0.4"), kind
        return parse_exposition(response.read().decode())
    finally:
        connection.close()


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def check_metrics(programs, flags, threads):
    # A slow machine is no fault of the server: only a turn of this length is.
    slow = ["--slow-turn=%d" % (1000 * STEP_SECONDS)]
    arguments = ["--listen=127.0.0.1:0", "--metrics=127.0.0.1:0"] + slow + flags
    with Server(programs, arguments, name="metrics", lines=2) as server:
        address = server.addresses["metrics"]
        first = scrape(address)
        assert first["pollard_connections_accepted_total"] == {None: 0}
        with Place(server.address).connect() as stays, Place(server.address).connect() as goes:
            for peer in (stays, goes):
                peer.sendall(b"ping")
                assert peer.recv(4) == b"ping"
            goes.close()
            reset_one = Place(server.address).connect()
            reset_one.sendall(b"ping")
            assert reset_one.recv(4) == b"ping"
            reset(reset_one)
            deadline = time.monotonic() + STEP_SECONDS
            while True:
                now = scrape(address)
                ended = now["pollard_disconnections_total"]
                if ended['reason="peer"'] == 1 and ended['reason="error"'] == 1:
                    break
                assert time.monotonic() < deadline, "the ends are not counted: %s" % ended
            assert now["pollard_connections_accepted_total"] == {None: 3}
            assert now["pollard_connections_open"] == {None: 1}
            assert now["pollard_received_bytes_total"] == {None: 12}
            assert now["pollard_sent_bytes_total"] == {None: 12}
            assert len(now["pollard_loop_turns_total"]) == threads
            for labels in now["pollard_loop_turns_total"]:
                assert 'poller="%s"' % server.poller in labels, labels
            for name, samples in first.items():
                if not name.endswith("_total"):
                    continue
                for labels, before in samples.items():
                    assert now[name][labels] >= before, "%s went down" % name
