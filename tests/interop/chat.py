"""The chat: guests by socket, and by the client at their terminals, in one loop and in several."""

import signal
import subprocess

from harness import STEP_SECONDS, Place, Server, environment


def run(cases, programs, poller):
    for threads in ["0", "2"]:
        label = "%s, %s threads" % (poller, threads)
        flags = ["--listen=127.0.0.1:0", "--poller=" + poller, "--threads=" + threads]
        cases.run("a chat on " + label, talk_by_socket, programs, flags)
        cases.run("a chat at terminals on " + label, talk_at_terminals, programs, flags, poller)
    cases.run("a seat waits for its room on " + poller, wait_for_the_room, programs, poller)


def expect(read_byte, line):
    heard = b""
    while not heard.endswith(b"\n"):
        byte = read_byte(1)
        assert byte, "the chat ended after %r" % heard
        heard += byte
    assert heard == line, "%r was heard, not %r" % (heard, line)


def talk_by_socket(programs, flags):
    with Server(programs, flags, "chat_server") as server:
        with Place(server.address).connect() as first:
            expect(first.recv, b"You are guest 1; 0 others are here.\n")
            with Place(server.address).connect() as second:
                expect(second.recv, b"You are guest 2; 1 others are here.\n")
                expect(first.recv, b"guest 2 came\n")
                second.sendall(b"hal")
                first.sendall(b"yes?\nno?\n")
                expect(second.recv, b"guest 1: yes?\n")
                expect(second.recv, b"guest 1: no?\n")
                second.sendall(b"lo\n")
                expect(first.recv, b"guest 2: hallo\n")
            expect(first.recv, b"guest 2 went\n")


class Seat:
    """A chat_client whose keyboard and screen are pipes."""

    def __init__(self, programs, address, poller):
        self.process = subprocess.Popen(
            [programs.path("chat_client"), "--connect=" + address, "--poller=" + poller],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment(),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for pipe in [self.process.stdin, self.process.stdout, self.process.stderr]:
            pipe.close()

    def type(self, text):
        self.process.stdin.write(text)

    def sees(self, line):
        expect(self.process.stdout.read, line)

    def complains(self):
        return self.process.stderr.readline()

    def leave(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=STEP_SECONDS)
        assert status == 0, "the client ended with %d" % status


def talk_at_terminals(programs, flags, poller):
    with Server(programs, flags, "chat_server") as server:
        with Seat(programs, server.address, poller) as first:
            first.sees(b"You are guest 1; 0 others are here.\n")
            with Seat(programs, server.address, poller) as second:
                second.sees(b"You are guest 2; 1 others are here.\n")
                first.sees(b"guest 2 came\n")
                second.type(b"hallo\nand goodbye\n")
                second.leave()
            first.sees(b"guest 2: hallo\n")
            first.sees(b"guest 2: and goodbye\n")
            first.sees(b"guest 2 went\n")
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(timeout=STEP_SECONDS) == 0, "asked to stop, it failed"


def wait_for_the_room(programs, poller):
    flags = ["--listen=127.0.0.1:0", "--poller=" + poller]
    with Server(programs, flags, "chat_server") as server:
        address = server.address
    with Seat(programs, address, poller) as seat:
        seat.type(b"is anybody here?\n")
        said = seat.complains()
        assert said.startswith(b"no room to be found: Connection refused"), "it said %r" % said
        flags = ["--listen=" + address, "--poller=" + poller]
        with Server(programs, flags, "chat_server"):
            seat.sees(b"You are guest 1; 0 others are here.\n")
            seat.leave()
