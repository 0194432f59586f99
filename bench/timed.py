"""Figures that depend on the machine and on who else is busy there: processor time of a server for
a message. Server and load generator share one processor, so that none of it goes into waking
another; all servers take turns, round by round, and the best round of each counts."""

import os
import statistics

from programs import Server

CONTROL = "control"  # the same program as the floor, under another name
FLOOR = "raw_epoll_level"


class Cell:
    """One piece of work, done by some servers. `messages` is about how many there are in a round;
    `unit` is what the time is counted for."""

    def __init__(self, name, servers, rounds, messages, unit="message", **work):
        self.name = name
        self.servers = servers
        self.rounds = rounds
        self.unit = unit
        self.work = dict(work)
        connections = work.get("connections", 1)
        together = 1 if work.get("work") == "short" else connections
        self.work["messages"] = max(3, messages // together)
        self.work["warm_up"] = max(1, self.work["messages"] // 10)

    def command_of(self, server):
        return FLOOR if server == CONTROL else server


def processor_of_the_bench():
    """The last: the first has most of the system's interrupts."""
    return max(os.sched_getaffinity(0))


def _per_unit(cell, result):
    if cell.unit == "GiB":
        return result["server_nanoseconds"] / result["bytes"] * 2**30
    return result["server_nanoseconds"] / result["messages"]


def measure(programs, cell):
    """Nanoseconds a unit, of each server: the best round, and all of them."""
    rounds = {server: [] for server in cell.servers}
    processor = processor_of_the_bench()
    for _ in range(cell.rounds):
        for server in cell.servers:
            command = programs.command(cell.command_of(server))
            with Server(command, pinned=processor) as running:
                result = programs.load(running, pinned=processor, **cell.work)
            rounds[server].append(_per_unit(cell, result))
    return {
        "name": cell.name,
        "work": cell.work,
        "unit": cell.unit,
        "servers": {
            server: {"best": min(times), "spread": spread(times), "rounds": times}
            for server, times in rounds.items()
        },
    }


def shown(measured, server):
    """For people: microseconds a message, milliseconds a GiB."""
    best = measured["servers"][server]["best"]
    return "%.0f ms" % (best / 1e6) if measured["unit"] == "GiB" else "%.2f us" % (best / 1e3)


def spread(times):
    """How far the middle of the rounds lies above the best one, as a ratio."""
    return statistics.median(times) / min(times) - 1


def ratio(measured, server, to=FLOOR):
    """Of the best rounds of two servers in the same cell; None where one of them isn't in it."""
    best = {name: result["best"] for name, result in measured["servers"].items()}
    if server not in best or to not in best:
        return None
    return best[server] / best[to]


def latency(programs, server, **work):
    """Round trips in nanoseconds, by percentile; server and generator on processors of their own,
    where there are two."""
    processors = sorted(os.sched_getaffinity(0))
    with Server(programs.command(server), pinned=processors[-1]) as running:
        result = programs.load(running, pinned=processors[0], latency=True, **work)
    return result["latency"]
