"""Figures that come out the same each time: system calls (strace) and user-space instructions
(valgrind) of a program, as the difference of two runs, so that what comes before and after the work
cancels."""

import os
import queue
import re
import tempfile

from programs import Failed, Server

# Valgrind 3.19 puts a pointer of its own into a pselect that a signal interrupts, and restarts it
# with that. The signal is the one that ends the server, so its work is done and counted.
PSELECT_IS_LOST = "waiting with select: Bad address"

# Figures that are taken at the same time don't share a processor.
_processors = queue.SimpleQueue()
for _processor in os.sched_getaffinity(0):
    _processors.put(_processor)


class Calls:
    """System calls by name."""

    def __init__(self, by_name):
        self.by_name = by_name

    @classmethod
    def of(cls, table):
        """From what `strace -c -U calls,name` prints."""
        lines = re.findall(r"^\s*(\d+) (\w+)\s*$", table, re.MULTILINE)
        return cls({name: int(count) for count, name in lines if name != "total"})

    def __sub__(self, other):
        names = set(self.by_name) | set(other.by_name)
        return Calls({n: self.by_name.get(n, 0) - other.by_name.get(n, 0) for n in names})

    def per(self, count):
        each = {name: calls / count for name, calls in self.by_name.items()}
        return {"total": sum(each.values()), "calls": {n: c for n, c in each.items() if c != 0}}


def traced(command, use):
    """The Calls of a program from its start to its end; `use` starts and ends it."""
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as table:
        use(["strace", "-f", "-c", "-U", "calls,name", "-o", table.name] + command)
        return Calls.of(table.read())


def instructions(command, use):
    """The user-space instructions of a program; `use` starts and ends it."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        tool = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=" + os.path.join(folder, "profile"),
            "--log-file=" + log,
        ]
        try:
            use(tool + command)
        except Failed as failed:
            if PSELECT_IS_LOST not in str(failed):
                raise
        with open(log, encoding="utf-8") as opened:
            text = opened.read()
    match = re.search(r"Collected : (\d+)", text)
    if not match:
        raise Failed("valgrind counted nothing: " + text[-500:])
    return int(match.group(1))


def server_use(programs, work):
    """For traced() and instructions(): a server is started, given `work`, and ended. It shares a
    processor with the load generator and is modest, so that it sleeps until a round has been sent:
    then the same number of turns serves it each time."""

    def use(command):
        processor = _processors.get()
        try:
            with Server(command, pinned=processor, modest=True) as server:
                programs.load(server, pinned=processor, **work)
        finally:
            _processors.put(processor)

    return use
