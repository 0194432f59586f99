"""What is to be reached on epoll, and whether a run has reached it."""

from programs import PEERS
from timed import FLOOR, ratio
from work import IDLE, MESSAGE_CELLS, OURS, STREAM_CELLS


class Check:
    """A value, and what it may be at the most. Both are compared as they are shown."""

    def __init__(self, value, most, digits=2):
        self.value = None if value is None else round(value, digits)
        self.most = most
        self.text = "-" if value is None else "%.*f" % (digits, value)

    @property
    def excess(self):
        """How far the value lies above, as a ratio; zero or less when it is reached."""
        return self.value / self.most - 1 if self.value is not None else None


class Row:
    """A line of the table; `checks` and `best` (what the best peer has) are taken from results."""

    def __init__(self, title, goal, checks, best=lambda results: "-"):
        self.title = title
        self.goal = goal
        self.checks = checks
        self.best = best

    def cells(self, results):
        checks = self.checks(results)
        values = "; ".join(check.text for check in checks)
        return [self.title, self.goal, values, verdict(checks), self.best(results)]


def verdict(checks):
    known = [check for check in checks if check.value is not None]
    if len(known) < len(checks):
        return "not measured"
    worst = max(check.excess for check in checks)
    if worst > 0:
        return "no, by %.1f %%" % (100 * worst)
    return "yes" if worst > -0.005 else "yes, by %.1f %%" % (-100 * worst)


# ---- From the results of a run ----


def exact(results, figure, server=OURS, part="value"):
    taken = results["exact"].get(figure, {}).get(server)
    return taken[part] if taken else None


def exact_checks(figures, most, digits=0):
    return lambda results: [
        Check(exact(results, name), limit, digits) for name, limit in zip(figures, most)
    ]


def best_peer(figures, digits=0):
    def best(results):
        texts = []
        for figure in figures:
            known = [exact(results, figure, peer) for peer in PEERS]
            known = [value for value in known if value is not None]
            texts.append("%.*f" % (digits, min(known)) if known else "-")
        return "; ".join(texts)

    return best


def cell_ratio(results, cell, server=OURS, to=FLOOR):
    measured = results["cells"].get(cell)
    return ratio(measured, server, to) if measured else None


def against_floor(cells, most):
    return lambda results: [Check(cell_ratio(results, cell), most, 3) for cell in cells]


def peers_in(cell):
    return lambda results: [
        value for value in (cell_ratio(results, cell, peer) for peer in PEERS) if value is not None
    ]


def best_peer_in(cells):
    def best(results):
        known = [peers_in(cell)(results) for cell in cells]
        return "; ".join("%.3f" % min(values) if values else "-" for values in known)

    return best


def below_every_peer(results):
    """Our cost over that of the best peer."""
    checks = []
    for cell in MESSAGE_CELLS:
        peers = peers_in(cell)(results)
        ours = cell_ratio(results, cell)
        checks.append(Check(ours / min(peers) if peers and ours else None, 1.0, 3))
    return checks


def beside_idle(results):
    """Our cost with silent connections over that without."""
    cells = [results["cells"].get(name) for name in ("%d idle" % IDLE, "no idle")]
    if None in cells:
        return [Check(None, 1.02)]
    with_idle, without = [cell["servers"][OURS]["best"] for cell in cells]
    return [Check(with_idle / without, 1.02, 3)]


def beside_floor(results, backend, connections):
    cell = "%s on %d" % (backend, connections)
    return cell_ratio(results, cell, "pollard " + backend, "raw_" + backend)


def other_backends(results):
    return [
        Check(beside_floor(results, backend, connections), 1.05, 3)
        for backend in ("poll", "select")
        for connections in (100, 1000)
    ]


def memory(results):
    values = [exact(results, "bytes.connection", part=part) for part in ("idle", "value")]
    return [Check(value and value / 1024, 0.25) for value in values]


def idle_refresh(results):
    """What comes in refreshes the limit, and what goes out does."""
    of_a_message = exact(results, "instructions.idle_limit")
    return [Check(of_a_message and of_a_message / 2, 10, 1)]


def calls_short(results):
    """Ours beside the floor's."""
    most = exact(results, "calls.short", FLOOR)
    return [Check(exact(results, "calls.short"), most or 10)]


ROWS = [
    Row("system calls a message, 1 connection; 100", "3.00; ≤ 2.03",
        exact_checks(["calls.message.1", "calls.message.100"], [3.0, 2.03], 2),
        best_peer(["calls.message.1", "calls.message.100"], 2)),
    Row("system calls an accept-echo-close", "≤ raw's", calls_short,
        best_peer(["calls.short"], 2)),
    Row("instructions a message, 100 connections; 1", "≤ 130; ≤ 170",
        exact_checks(["instructions.message.100", "instructions.message.1"], [130, 170]),
        best_peer(["instructions.message.100", "instructions.message.1"])),
    Row("instructions an accept-echo-close", "≤ 1,200",
        exact_checks(["instructions.short"], [1200]), best_peer(["instructions.short"])),
    Row("server CPU a message, one core, four cells", "≤ 0.98 × raw in each",
        against_floor(MESSAGE_CELLS, 0.98), best_peer_in(MESSAGE_CELLS)),
    Row("the same beside the best peer", "≤ 1.00 × peer in each", below_every_peer),
    Row("streaming 16 KiB on 1; 10, CPU a GiB", "≤ 0.90 × raw",
        against_floor(STREAM_CELLS, 0.90), best_peer_in(STREAM_CELLS)),
    Row("64 KiB on 1,000 and 10,000 connections", "≤ 1.00 × raw",
        against_floor(["64 KiB on 1000", "64 KiB on 10000"], 1.0)),
    Row("KiB of an idle connection; after traffic", "≤ 0.25", memory),
    Row("timer cancel+add among 100,000; arm+fire", "≤ 120; ≤ 300 instructions",
        exact_checks(["instructions.timer.cancel_add", "instructions.timer.arm_fire"], [120, 300]),
        best_peer(["instructions.timer.cancel_add", "instructions.timer.arm_fire"])),
    Row("refresh of an idle limit, two a message", "≤ 10 instructions", idle_refresh),
    Row("post, one producer, busy loop; its calls; wakes a sleep", "≤ 100 instructions; 0; ≤ 1",
        exact_checks(["instructions.post.1", "calls.post", "calls.wake"], [100, 0.01, 1], 2),
        best_peer(["instructions.post.1", "calls.post", "calls.wake"], 2)),
    Row("10,000 idle connections beside 100 active", "≤ 1.02 × without", beside_idle),
    Row("poll on 100; 1,000; select on 100; 1,000", "≤ 1.05 × raw loop", other_backends),
]

HEAD = ["work", "to be reached", "measured", "reached", "best peer"]


def table(results):
    return [HEAD] + [row.cells(results) for row in ROWS]
