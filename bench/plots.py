"""Curves as SVG, drawn by gnuplot."""

import os
import shutil
import subprocess

COLOURS = {
    "pollard epoll": "#c00000",
    "pollard poll": "#e07020",
    "pollard select": "#b0a000",
    "raw_epoll_level": "#000000",
    "raw_epoll_edge": "#606060",
    "raw_poll": "#909090",
    "raw_select": "#b8b8b8",
    "libevent": "#0050c0",
    "libuv": "#008040",
    "libev": "#00a0c0",
    "asio": "#8000a0",
}


class Plot:
    """Points by the name of their curve."""

    def __init__(self, name, title, x_title, y_title, curves, extra=()):
        self.name = name
        self.title = title
        self.x_title = x_title
        self.y_title = y_title
        self.curves = curves
        self.extra = list(extra)  # more of gnuplot's commands

    def script(self, path):
        lines = [
            'set terminal svg size 900,540 font "sans,13" background "white"',
            'set output "%s"' % path,
            'set title "%s"' % self.title,
            'set xlabel "%s"' % self.x_title,
            'set ylabel "%s"' % self.y_title,
            "set key left top",
            "set grid",
        ] + self.extra
        drawn = []
        for number, (name, points) in enumerate(self.curves.items()):
            lines.append("$curve%d << END" % number)
            lines += ["%g %g" % point for point in points]
            lines.append("END")
            drawn.append(
                '$curve%d with linespoints pointtype 7 pointsize 0.5 linewidth 2 '
                'linecolor rgb "%s" title "%s"'
                % (number, COLOURS.get(name, "#404040"), name.replace("_", " "))
            )
        return "\n".join(lines + ["plot " + ", ".join(drawn)]) + "\n"


def draw(plots, folder):
    """Writes NAME.svg for each; answers the names, or none where gnuplot is not here."""
    if not shutil.which("gnuplot"):
        return []
    drawn = []
    for plot in plots:
        if not plot.curves:
            continue
        path = os.path.join(folder, plot.name + ".svg")
        subprocess.run(["gnuplot"], input=plot.script(path).encode(), timeout=60, check=True)
        drawn.append(plot)
    return drawn


def _by_server(results, cells, x_of):
    """Microseconds by server, from cells whose x is x_of(cell)."""
    curves = {}
    for cell in cells:
        for server, result in cell["servers"].items():
            curves.setdefault(server, []).append((x_of(cell), result["best"] / 1000))
    return curves


def connection_plots(results):
    plots = []
    for size, text in ((16, "16 B"), (4096, "4 KiB"), (65536, "64 KiB")):
        prefix = "curve %d B on " % size
        cells = [c for name, c in results["cells"].items() if name.startswith(prefix)]
        plots.append(
            Plot(
                "connections-%d" % size,
                "Messages of %s: what one costs the server" % text,
                "connections",
                "processor time, microseconds a message",
                _by_server(results, cells, lambda cell: cell["work"]["connections"]),
                ["set logscale x", "set yrange [0:]"],
            )
        )
    return plots


def idle_plot(results):
    cells = [
        cell
        for name, cell in results["cells"].items()
        if name.startswith("curve ") and name.endswith(" idle")
    ]
    return Plot(
        "idle",
        "Silent connections beside 100 active ones: what a message costs the server",
        "silent connections",
        "processor time, microseconds a message",
        _by_server(results, cells, lambda cell: cell["work"]["idle"]),
        ["set logscale y"],
    )


def latency_plots(results):
    """Against the share of slower round trips, so that each decade of rarity gets as much room."""
    plots = []
    for connections, by_server in results.get("latency", {}).items():
        curves = {}
        for server, percentiles in by_server.items():
            curves[server] = [
                (1 / (1 - float(p) / 100), nanoseconds / 1000)
                for p, nanoseconds in percentiles.items()
                if float(p) < 100
            ]
        plots.append(
            Plot(
                "latency-%s" % connections,
                "Round trips of 16 B on %s connections" % connections,
                "percentile",
                "microseconds",
                curves,
                [
                    "set logscale x",
                    "set logscale y",
                    'set xtics ("0" 1, "50" 2, "90" 10, "99" 100, "99.9" 1000, "99.99" 10000)',
                ],
            )
        )
    return plots


def all_plots(results):
    return connection_plots(results) + [idle_plot(results)] + latency_plots(results)
