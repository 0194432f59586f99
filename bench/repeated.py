"""Times of the programs that do one thing over and over: timers, posts, pipes."""

import json

from programs import BACKENDS, PEERS, output_of

ROUNDS = 5


class Repeated:
    """`clock` is processor_nanoseconds, or nanoseconds for the time that passes."""

    def __init__(self, name, kind, options, repeats, things=1, clock="processor_nanoseconds"):
        self.name = name
        self.kind = kind
        self.options = options
        self.repeats = repeats
        self.things = things
        self.clock = clock


def _pipes(count):
    name = "a byte through one of %d pipes, 100 active" % count
    options = ["--work=active-100", "--count=%d" % count]
    return Repeated(name, "pipes", options, (1000, 41000))


WORKS = [
    Repeated("timer: cancel and set anew", "timers", ["--work=cancel-add"], (100000, 2100000)),
    Repeated("timer: put off", "timers", ["--work=put-off"], (100000, 2100000)),
    Repeated("timer: set, and happens", "timers", ["--work=arm-fire"], (1, 5), things=100000),
    Repeated("post, busy loop, 1 producer", "posts", ["--work=busy-1"], (20000, 420000)),
    Repeated("post, busy loop, 4 producers", "posts", ["--work=busy-4"], (20000, 420000)),
    Repeated("post, sleeping loop", "posts", ["--work=asleep"], (1000, 21000), clock="nanoseconds"),
    _pipes(100),
    _pipes(1000),
    _pipes(5000),
]


def libraries(programs, work):
    """Name and command of each that has such a program. Pipes show the backends, too."""
    backends = BACKENDS if work.kind == "pipes" else BACKENDS[:1]
    for name in ["pollard " + backend for backend in backends] + PEERS:
        command = programs.part(name, work.kind)
        if command:
            poller = ["--poller=" + name.split()[1]] if len(backends) > 1 and " " in name else []
            yield name, command + poller


def _run(command):
    return json.loads(output_of(command))


def measure_parts(programs):
    """Nanoseconds of the library's parts, each by itself, as Google Benchmark takes them."""
    if not programs.has_parts():
        return {}
    command = [programs.path("parts"), "--benchmark_format=json", "--benchmark_min_time=0.3"]
    return {each["name"]: each["cpu_time"] for each in _run(command)["benchmarks"]}


def measure(programs, work):
    """Nanoseconds of one thing, by library. All take turns, round by round; of the short runs as of
    the long ones the best counts."""
    best = {}
    for _ in range(ROUNDS):
        for name, command in libraries(programs, work):
            for repeat in work.repeats:
                taken = _run(command + work.options + ["--repeat=%d" % repeat])[work.clock]
                key = name, repeat
                best[key] = min(taken, best.get(key, taken))
    few, many = work.repeats
    return {
        name: (best[name, many] - best[name, few]) / ((many - few) * work.things)
        for name, _ in libraries(programs, work)
    }
