"""Plots as SVG, written by hand: they have a background of their own, for readers on white and on dark pages."""

import html
import math

BACKGROUND, INK, FAINT = "#ffffff", "#222222", "#d8d8d8"
# colours that people who see few colours can tell apart
COLOURS = {
    "direct": "#777777", "haproxy": "#e69f00", "pgbouncer": "#0072b2", "pgpool": "#cc79a7", "tidegate": "#009e73",
}
MORE_COLOURS = ("#d55e00", "#56b4e9", "#b8a800", "#000000")
PANEL, GAP, MARGIN, TOP, BOTTOM = 250, 60, 64, 96, 52


class Canvas:
    """Elements of one picture of a given size in pixels."""

    def __init__(self, width, height, title):
        self.width, self.height, self.elements = width, height, []
        self.elements.append(f'<rect width="{width}" height="{height}" fill="{BACKGROUND}"/>')
        self.text(16, 28, title, size=17, weight="bold")

    def text(self, x, y, words, size=12, anchor="start", weight="normal", turn=0):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{INK}"{turned}>{html.escape(words)}</text>'
        )

    def line(self, x1, y1, x2, y2, colour=INK, width=1.0):
        self.elements.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'
        )

    def box(self, x, y, width, height, colour):
        self.elements.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
        )

    def path(self, points, colour):
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.elements.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in points:
            self.elements.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')

    def legend(self, names, colours):
        x = 16
        for name in names:
            self.box(x, 44, 12, 12, colours[name])
            self.text(x + 18, 55, name)
            x += 40 + 7 * len(name)

    def svg(self):
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="sans-serif">\n' + "\n".join(self.elements) + "\n</svg>\n"
        )


class Scale:
    """A panel's y axis from zero, with ticks at round numbers."""

    def __init__(self, values, top, height):
        most = max(values, default=0) or 1
        step = round_step(most / 4)
        self.ticks = [step * i for i in range(math.ceil(most / step) + 1)]
        self.top, self.bottom = top, top + height

    def share(self, value):
        return value / self.ticks[-1]

    def y(self, value):
        return self.bottom - (self.bottom - self.top) * self.share(value)

    def draw(self, canvas, left, width, unit):
        for tick in self.ticks:
            canvas.line(left, self.y(tick), left + width, self.y(tick), FAINT)
            canvas.text(left - 6, self.y(tick) + 4, short(tick), size=11, anchor="end")
        canvas.line(left, self.top, left, self.bottom)
        canvas.line(left, self.bottom, left + width, self.bottom)
        canvas.text(left - 46, (self.top + self.bottom) / 2, unit, anchor="middle", turn=-90)


class LogScale(Scale):
    """The same, logarithmic: for lines that differ by a factor rather than by an amount."""

    def __init__(self, values, top, height):
        least, most = min(values, default=1), max(values, default=1)
        steps = [step * 10.0**power for power in range(-4, 8) for step in (1, 2, 5)]
        begin = max(i for i, step in enumerate(steps) if step <= least * 1.001)
        end = min(i for i, step in enumerate(steps) if step >= most * 0.999 and i > begin)
        self.ticks = steps[begin:end + 1]
        self.top, self.bottom = top, top + height

    def share(self, value):
        return math.log(value / self.ticks[0]) / math.log(self.ticks[-1] / self.ticks[0])


def round_step(least):
    """The least of 1, 2, 5, 10, 20 … that is not below `least`."""
    power = 10 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * 0.999)


def short(number):
    if number >= 10_000:
        return f"{number / 1000:g}k"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.2g}"


def colours_of(names):
    more = iter(MORE_COLOURS * len(names))
    return {name: COLOURS.get(name) or next(more) for name in names}


def in_order(found, key):
    """Contestants that have the figure `key` anywhere, in the order they are shown."""
    return list(dict.fromkeys(name for results in found.values() for name, result in results.items() if key in result))


def workloads(found, clients):
    """Bars: the proxy's CPU per transaction. Workloads differ by orders of magnitude, so that each has its own scale."""
    names = in_order(found, "cpu")
    colours, across, height = colours_of(names), min(4, len(found)), 170
    down = math.ceil(len(found) / across)
    canvas = Canvas(
        max(MARGIN + across * (PANEL + GAP), 640), TOP + down * (height + 66) + 24,
        f"CPU time of the proxy per transaction, {clients} clients",
    )
    canvas.legend(names, colours)
    for index, (workload, results) in enumerate(found.items()):
        left = MARGIN + index % across * (PANEL + GAP)
        top = TOP + index // across * (height + 66) + 12
        scale = Scale([result["cpu"] for result in results.values() if "cpu" in result], top, height)
        scale.draw(canvas, left, PANEL, "µs per transaction")
        canvas.text(left + PANEL / 2, top + height + 22, workload, anchor="middle", weight="bold")
        width = PANEL / max(len(names), 1)
        for place, name in enumerate(names):
            middle = left + width * (place + 0.5)
            if value := results.get(name, {}).get("cpu"):
                canvas.box(middle - width * 0.35, scale.y(value), width * 0.7, scale.y(0) - scale.y(value), colours[name])
                canvas.text(middle, scale.y(value) - 4, f"{value:.1f}" if value < 100 else short(value), size=11, anchor="middle")
            else:
                canvas.text(middle, scale.y(0) - 4, "none", size=11, anchor="middle")
    canvas.text(16, canvas.height - 14, "Shorter bars are better; each workload has its own scale.", size=11)
    return canvas.svg()


def sweep(found, workload):
    """Lines over the number of clients: the proxy's CPU per transaction, latency, throughput."""
    names = in_order(found, "tps")
    colours, height, width = colours_of(names), 260, PANEL * 1.2
    panels = (
        ("cpu", "CPU of the proxy per transaction, µs (logarithmic)", LogScale),
        ("p99", "99th percentile of latency, ms (logarithmic)", LogScale),
        ("tps", "transactions per second", Scale),
    )
    canvas = Canvas(
        round(len(panels) * (MARGIN + width) + MARGIN), TOP + height + BOTTOM + 12,
        f"{workload} with few and many clients",
    )
    canvas.legend(names, colours)
    for index, (key, unit, kind) in enumerate(panels):
        values = [result[key] for results in found.values() for result in results.values() if result.get(key)]
        scale = kind(values, TOP, height)
        left = MARGIN + index * (width + MARGIN + 16)
        scale.draw(canvas, left, width, unit)
        draw_lines(canvas, scale, found, {name: colours[name] for name in names}, key, left, width)
    return canvas.svg()


def draw_lines(canvas, scale, found, colours, key, left, width):
    """The figure `key` of each contestant over the number of clients, on a logarithmic x axis."""
    logs = {clients: math.log(clients) for clients in found}
    low, high = min(logs.values()), max(logs.values())
    share = lambda log: (log - low) / (high - low) if high > low else 0.5
    x = {clients: left + 12 + (width - 24) * share(log) for clients, log in logs.items()}
    for clients, place in x.items():
        canvas.line(place, scale.bottom, place, scale.bottom + 5)
        canvas.text(place, scale.bottom + 18, f"{clients:,}", size=11, anchor="middle")
    canvas.text(left + width / 2, scale.bottom + 38, "clients (logarithmic)", anchor="middle")
    for name, colour in colours.items():
        having = [clients for clients in found if found[clients].get(name, {}).get(key)]
        if points := [(x[clients], scale.y(found[clients][name][key])) for clients in having]:
            canvas.path(points, colour)
