"""The exact figures: what each is called, in what it is counted, and how it is taken."""

import concurrent.futures
import os

from counting import instructions, server_use, traced
from programs import Server, output_of

ROUND = 100  # connections that send together


class Figure:
    """`take(programs, server)` answers a dictionary with the figure as its "value", or None where
    that server, or the library of that server, has no such thing."""

    def __init__(self, name, title, take):
        self.name = name
        self.title = title
        self.take = take


def _rounds(connections, fewer, more):
    """Two loads of a server, and how many messages the second has more."""
    works = [dict(work="rounds", connections=connections, messages=n) for n in (fewer, more)]
    return works + [connections * (more - fewer)]


def _short(fewer, more):
    return [dict(work="short", messages=n) for n in (fewer, more)] + [more - fewer]


def _calls(fewer, more, count):
    """System calls of a server for one of the messages, or connections."""

    def take(programs, server):
        command = programs.command(server)
        runs = [traced(command, server_use(programs, work)) for work in (fewer, more)]
        each = (runs[1] - runs[0]).per(count)
        return {"value": each["total"], "calls": each["calls"]}

    return take


def _instructions(fewer, more, count):
    def take(programs, server):
        command = programs.command(server)
        runs = [instructions(command, server_use(programs, work)) for work in (fewer, more)]
        return {"value": (runs[1] - runs[0]) / count}

    return take


def _idle_limit(fewer, more, count):
    """What a limit on idleness adds to a message's instructions; ours alone has it."""
    plain = _instructions(fewer, more, count)

    def take(programs, server):
        if not server.startswith("pollard"):
            return None
        limited = plain(programs, server + " --idle-limit=60000")["value"]
        return {"value": limited - plain(programs, server)["value"]}

    return take


def _memory(connections):
    """User-space bytes of a connection that is idle after a message, and of one before."""

    def take(programs, server):
        with Server(programs.command(server)) as running:
            memory = programs.load(running, work="memory", connections=connections)["memory"]
        each = {name: (memory[name] - memory["before"]) / connections for name in memory}
        return {"value": each["after_traffic"], "idle": each["idle"]}

    return take


def _part_works(programs, server, kind, options, repeats):
    command = programs.part(server, kind)
    return command and [command + options + ["--repeat=%d" % repeat] for repeat in repeats]


def _part_instructions(kind, options, fewer, more, things=1):
    """Of a program that does one thing over and over; `things` of them at a time."""

    def take(programs, server):
        works = _part_works(programs, server, kind, options, (fewer, more))
        if works is None:
            return None
        runs = [instructions(work, output_of) for work in works]
        return {"value": (runs[1] - runs[0]) / ((more - fewer) * things)}

    return take


def _part_calls(kind, options, fewer, more, call=None):
    """All of them, or those of one kind."""

    def take(programs, server):
        works = _part_works(programs, server, kind, options, (fewer, more))
        if works is None:
            return None
        runs = [traced(work, output_of) for work in works]
        each = (runs[1] - runs[0]).per(more - fewer)
        value = each["calls"].get(call, 0) if call else each["total"]
        return {"value": value, "calls": each["calls"]}

    return take


TIMERS = 100000

FIGURES = [
    Figure("calls.message.1", "system calls a message, 1 connection", _calls(*_rounds(1, 20, 520))),
    Figure(
        "calls.message.100",
        "system calls a message, 100 connections",
        _calls(*_rounds(ROUND, 5, 35)),
    ),
    Figure("calls.short", "system calls an accept-echo-close", _calls(*_short(10, 310))),
    Figure(
        "instructions.message.1",
        "instructions a message, 1 connection",
        _instructions(*_rounds(1, 100, 2100)),
    ),
    Figure(
        "instructions.message.100",
        "instructions a message, 100 connections",
        _instructions(*_rounds(ROUND, 10, 60)),
    ),
    Figure(
        "instructions.short",
        "instructions an accept-echo-close",
        _instructions(*_short(100, 1100)),
    ),
    Figure(
        "instructions.idle_limit",
        "instructions for a limit on idleness, a message",
        _idle_limit(*_rounds(ROUND, 10, 60)),
    ),
    Figure(
        "instructions.timer.cancel_add",
        "instructions to cancel a timer and set it anew, among 100,000",
        _part_instructions("timers", ["--work=cancel-add"], TIMERS, 3 * TIMERS),
    ),
    Figure(
        "instructions.timer.put_off",
        "instructions to put a timer off, among 100,000",
        _part_instructions("timers", ["--work=put-off"], TIMERS, 3 * TIMERS),
    ),
    Figure(
        "instructions.timer.arm_fire",
        "instructions to set a timer that then happens, 100,000 together",
        _part_instructions(
            "timers", ["--work=arm-fire", "--count=%d" % TIMERS], 1, 2, things=TIMERS
        ),
    ),
    Figure(
        "instructions.post.1",
        "instructions of a post to a busy loop and of its task, 1 producer",
        _part_instructions("posts", ["--work=busy-1"], 20000, 120000),
    ),
    Figure(
        "instructions.post.4",
        "instructions of a post to a busy loop and of its task, 4 producers",
        _part_instructions("posts", ["--work=busy-4"], 20000, 120000),
    ),
    Figure(
        "calls.post",
        "system calls of a post to a busy loop (the batches' own hand-over among them)",
        _part_calls("posts", ["--work=busy-1"], 20000, 120000),
    ),
    Figure(
        "calls.wake",
        "writes that wake a sleeping loop, a post",
        _part_calls("posts", ["--work=asleep"], 100, 1100, call="write"),
    ),
    Figure("bytes.connection", "bytes of an idle connection, after traffic", _memory(5000)),
]


def named(prefixes):
    """The figures whose names begin with one of these."""
    return [figure for figure in FIGURES if figure.name.startswith(tuple(prefixes))]


def take_all(programs, pairs, on_taken):
    """Takes (figure, server) pairs, as many at a time as there are processors, and calls
    on_taken(figure, server, result) in their order. What fails raises."""
    at_a_time = len(os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        started = [(f, server, pool.submit(f.take, programs, server)) for f, server in pairs]
        for figure, server, future in started:
            on_taken(figure, server, future.result())
