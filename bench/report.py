"""A run as Markdown: what ci/bench writes to build/bench, and what docs/performance.md shows."""

import plots
import targets
from figures import FIGURES
from programs import BACKENDS, FLOORS, PEERS
from tables import markdown
from timed import CONTROL, FLOOR, ratio
from work import MESSAGE_CELLS, OURS, SHAPE_CELLS, STREAM_CELLS

ORDER = [FLOOR, CONTROL] + FLOORS[1:] + PEERS + ["pollard " + backend for backend in BACKENDS]


def in_order(names):
    """Floors first, ours last."""
    known = [name for name in ORDER if name in names]
    return known + [name for name in names if name not in known]


def machine_text(results):
    machine = results["machine"]
    versions = ", ".join("%s %s" % pair for pair in sorted(machine["versions"].items()))
    return (
        "Measured %s, at revision %s, on %d processors (%s), %s, %s. Versions: %s. "
        "Load average when it began: %.2f."
        % (
            results["date"],
            results["revision"],
            machine["processors"],
            machine["processor"],
            machine["kernel"],
            machine["compiler"],
            versions,
            machine["load_average"],
        )
    )


def exact_table(results):
    taken = results["exact"]
    servers = in_order({server for by_server in taken.values() for server in by_server})
    rows = [[""] + servers]
    for figure in FIGURES:
        values = [taken.get(figure.name, {}).get(server) for server in servers]
        if any(values):
            texts = ["%.2f" % v["value"] if v else "" for v in values]
            rows.append([figure.title] + texts)
    return markdown(rows)


def ratio_table(results, names, to=FLOOR):
    """Cost of each server over the floor's, and how far a round is from the best one."""
    cells = [results["cells"][name] for name in names if name in results["cells"]]
    if not cells:
        return None
    servers = in_order({server for cell in cells for server in cell["servers"]})
    rows = [[""] + [cell["name"] for cell in cells]]
    for server in servers:
        row = [server]
        for cell in cells:
            value = ratio(cell, server, to)
            spread = cell["servers"].get(server, {}).get("spread")
            row.append("" if value is None else "%.3f (+%.1f %%)" % (value, 100 * spread))
        rows.append(row)
    return markdown(rows)


def time_table(results, names, title=""):
    """Microseconds a unit; GiB in milliseconds."""
    cells = [results["cells"][name] for name in names if name in results["cells"]]
    if not cells:
        return None
    servers = in_order({server for cell in cells for server in cell["servers"]})
    rows = [[title] + servers]
    for cell in cells:
        scale = 1e6 if cell["unit"] == "GiB" else 1e3
        row = [cell["name"]]
        for server in servers:
            result = cell["servers"].get(server)
            row.append("%.2f" % (result["best"] / scale) if result else "")
        rows.append(row)
    return markdown(rows)


def repeated_table(results):
    taken = results.get("repeated", {})
    if not taken:
        return None
    libraries = in_order({name for by_library in taken.values() for name in by_library})
    rows = [["nanoseconds"] + libraries]
    for work, by_library in taken.items():
        rows.append([work] + ["%.0f" % by_library[n] if n in by_library else "" for n in libraries])
    return markdown(rows)


def relayed_table(results):
    rows = [[name, "%.1f" % (most / 2**20)] for name, most in results.get("relayed", {}).items()]
    return markdown([["backend", "MiB"]] + rows) if rows else None


def parts_table(results):
    rows = [[name, "%.1f" % time] for name, time in results.get("parts", {}).items()]
    return markdown([["part", "nanoseconds"]] + rows) if rows else None


def latency_table(results):
    shown = ["50", "90", "99", "99.9"]
    rows = [["microseconds"] + ["%s %%" % p for p in shown]]
    for connections, by_server in results.get("latency", {}).items():
        for server, percentiles in by_server.items():
            texts = ["%.1f" % (percentiles[p] / 1000) for p in shown]
            rows.append(["%s on %s" % (server, connections)] + texts)
    return markdown(rows) if len(rows) > 1 else None


def curve_names(results, ending=""):
    return [n for n in results["cells"] if n.startswith("curve ") and n.endswith(ending)]


def sections(results, drawn):
    """Titles, and what stands beneath them."""
    pictures = {plot.name: "![%s](%s.svg)" % (plot.title, plot.name) for plot in drawn}

    def show(prefix):
        return "\n\n".join(text for name, text in pictures.items() if name.startswith(prefix))

    others = ["%s on %d" % (b, n) for b in BACKENDS[1:] for n in (100, 1000)]
    large = ["64 KiB on 1000", "64 KiB on 10000"]
    idle = [n for n in results["cells"] if n.endswith(" idle") and not n.startswith("curve")]
    curves = [n for n in curve_names(results) if not n.endswith(" idle")]
    return [
        ("What is to be reached", markdown(targets.table(results))),
        ("Exact figures", exact_table(results)),
        (
            "Processor time of the server, over that of the level-triggered floor",
            ratio_table(results, [*MESSAGE_CELLS, *STREAM_CELLS, "short"] + large + idle),
        ),
        ("Poll and select, in microseconds a message", time_table(results, others)),
        (
            "Ours in other shapes, over ours on one loop",
            ratio_table(results, list(SHAPE_CELLS), to=OURS),
        ),
        ("Against the number of connections", show("connections")),
        ("", time_table(results, curves, "microseconds")),
        ("Against the number of silent connections", show("idle")),
        ("", time_table(results, curve_names(results, " idle"), "microseconds")),
        ("Latency", show("latency")),
        ("", latency_table(results)),
        ("Timers, posts and pipes", repeated_table(results)),
        (
            "What a relay grows by while 4 GiB go from a fast writer to a slow reader",
            relayed_table(results),
        ),
        ("Parts of ours", parts_table(results)),
    ]


def text(results, drawn):
    parts = [machine_text(results)]
    for title, body in sections(results, drawn):
        if body:
            parts += (["## " + title] if title else []) + [body]
    return "\n\n".join(parts) + "\n"


def draw_and_write(results, folder):
    """The report and its plots; answers the report's path."""
    drawn = plots.draw(plots.all_plots(results), folder)
    path = folder + "/report.md"
    with open(path, "w", encoding="utf-8") as opened:
        opened.write(text(results, drawn))
    return path
