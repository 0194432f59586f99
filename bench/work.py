"""What is measured: the cells of a quick run, and of a full one."""

from programs import BACKENDS, FLOORS, PEERS
from timed import CONTROL, FLOOR, Cell

OURS = "pollard epoll"
LTO = "pollard_lto epoll"
EDGE = "raw_epoll_edge"
KIB = 1024
IDLE = 10000

# What every server has to do right before it is measured.
VERIFIED = [
    dict(work="round-trips", connections=10, messages=300, size=10007, warm_up=0),
    dict(work="streams", connections=3, messages=300, size=65537, warm_up=0),
    dict(work="short", connections=10, messages=300, size=1, warm_up=0),
]

# Times come from shared machines, whose neighbours slow down a second here and a second there. The
# best of many short rounds is less likely to meet them than the best of a few long ones.

# The four cells in which a message's cost is compared, and their names.
MESSAGE_CELLS = {
    "16 B on 1": dict(connections=1, size=16),
    "16 B on 100": dict(connections=100, size=16),
    "16 B on 1000": dict(connections=1000, size=16),
    "4 KiB on 100": dict(connections=100, size=4 * KIB),
}
# Streams of 16 KiB pieces, of which 256 KiB are under way.
STREAM_CELLS = {"stream on 1": 1, "streams on 10": 10}


def of_message(built):
    """Who is compared on epoll, among those that were built."""
    return [FLOOR, CONTROL, EDGE] + [p for p in PEERS if built.has(p)] + [OURS]


def messages(built, rounds):
    return [
        Cell(name, of_message(built), rounds, 25000, **work)
        for name, work in MESSAGE_CELLS.items()
    ]


def streams(built, rounds):
    work = dict(work="streams", size=16 * KIB)
    return [
        Cell(name, of_message(built), rounds, 10000, unit="GiB", connections=n, **work)
        for name, n in STREAM_CELLS.items()
    ]


def large_messages(rounds):
    servers = [FLOOR, CONTROL, OURS]
    return [
        Cell("64 KiB on %d" % n, servers, rounds, 20000, connections=n, size=64 * KIB)
        for n in (1000, 10000)
    ]


def idle_beside_active(rounds):
    """The same work with and without connections that are silent."""
    active = dict(connections=100, size=16)
    servers = [FLOOR, CONTROL, OURS]
    return [
        Cell("no idle", servers, rounds, 20000, **active),
        Cell("%d idle" % IDLE, servers, rounds, 20000, idle=IDLE, **active),
    ]


def other_backends(rounds):
    """Ours beside the floor of the same mechanism."""
    return [
        Cell(
            "%s on %d" % (backend, connections),
            ["raw_" + backend, "pollard " + backend],
            rounds,
            20000,
            connections=connections,
            size=16,
        )
        for backend in BACKENDS
        if backend != "epoll"
        for connections in (100, 1000)
    ]


def quick(built):
    return (
        messages(built, 12)
        + streams(built, 6)
        + large_messages(3)
        + idle_beside_active(6)
        + other_backends(6)
    )


# ---- What a full run has beside that: curves ----


CONNECTIONS = [1, 10, 100, 1000, 10000]
IDLE_COUNTS = [0, 100, 1000, 5000, 15000]


def _everybody(built):
    ours = ["pollard " + backend for backend in BACKENDS]
    return [server for server in FLOORS + PEERS + ours if built.has(server)]


def _curve_rounds(connections):
    """Many, but for cells that spend most of their time on making connections."""
    return 6 if connections <= 1000 else 2


def connection_curves(built):
    """Cost against the number of connections, for three sizes of messages."""
    return [
        Cell(
            "curve %d B on %d" % (size, connections),
            _everybody(built),
            _curve_rounds(connections),
            count,
            connections=connections,
            size=size,
        )
        for size, count in ((16, 20000), (4 * KIB, 15000), (64 * KIB, 3000))
        for connections in CONNECTIONS
    ]


def idle_curves(built):
    """Cost of 100 active connections against the number of silent ones."""
    active = dict(connections=100, size=16)
    return [
        Cell(
            "curve %d idle" % idle,
            _everybody(built),
            _curve_rounds(idle),
            20000,
            idle=idle,
            **active,
        )
        for idle in IDLE_COUNTS
    ]


def short_connections(built, rounds):
    return [Cell("short", of_message(built), rounds, 5000, work="short", connections=10, size=16)]


# On one connection each message ends a sleep.
SHAPE_CELLS = {"16 B on 1, ours": 1, "16 B on 100, ours": 100}


def other_shapes(built, rounds):
    """Ours with link-time optimisation, by level, with limits of time, two loops, workers."""
    shapes = [OURS, LTO, OURS + " --level", OURS + " --idle-limit=60000", OURS + " --threads=2"]
    shapes = [shape for shape in shapes + ["pollard_requests epoll"] if built.has(shape)]
    return [
        Cell(name, shapes, rounds, 25000, connections=n, size=16)
        for name, n in SHAPE_CELLS.items()
    ]


def full(built):
    return (
        messages(built, 30)
        + streams(built, 20)
        + large_messages(7)
        + idle_beside_active(15)
        + other_backends(15)
        + short_connections(built, 10)
        + other_shapes(built, 20)
        + connection_curves(built)
        + idle_curves(built)
    )


LATENCY_CONNECTIONS = [1, 100]


BUSY = OURS + " --busy-poll=100"


def latency_servers(built):
    servers = (FLOOR, "libevent", "libuv", "asio", OURS, BUSY)
    return [server for server in servers if built.has(server)]
