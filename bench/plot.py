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

    def __init__(self, most, top, height):
        step = round_step(most / 4 or 1)
        self.ticks = [step * i for i in range(math.ceil(most / step) + 1)] if most else [0, step]
        self.top, self.height = top, height

    def y(self, value):
        return self.top + self.height * (1 - value / self.ticks[-1])

    def draw(self, canvas, left, width, unit):
        for tick in self.ticks:
            canvas.line(left, self.y(tick), left + width, self.y(tick), FAINT)
            canvas.text(left - 6, self.y(tick) + 4, short(tick), size=11, anchor="end")
        canvas.line(left, self.top, left, self.top + self.height)
        canvas.line(left, self.top + self.height, left + width, self.top + self.height)
        canvas.text(left - 46, self.top + self.height / 2, unit, anchor="middle", turn=-90)


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
        scale = Scale(max((result["cpu"] for result in results.values() if "cpu" in result), default=0), top, height)
        scale.draw(canvas, left, PANEL, "µs")
        canvas.text(left + PANEL / 2, top + height + 22, workload, anchor="middle", weight="bold")
        width = PANEL / max(len(names), 1)
        for place, name in enumerate(names):
            middle = left + width * (place + 0.5)
            if value := results.get(name, {}).get("cpu"):
                canvas.box(middle - width * 0.35, scale.y(value), width * 0.7, scale.y(0) - scale.y(value), colours[name])
                canvas.text(middle, scale.y(value) - 4, short(round(value, 1)), size=11, anchor="middle")
            else:
                canvas.text(middle, scale.y(0) - 4, "none", size=11, anchor="middle")
    canvas.text(16, canvas.height - 14, "Shorter bars are better; each workload has its own scale.", size=11)
    return canvas.svg()


def sweep(found, workload):
    """Lines over the number of clients: the proxy's CPU per transaction, and throughput."""
    names = in_order(found, "tps")
    colours, height, wide = colours_of(names), 260, PANEL * 1.5
    canvas = Canvas(
        round(2 * (MARGIN + wide) + GAP), TOP + height + BOTTOM + 12, f"{workload} with few and many clients"
    )
    canvas.legend(names, colours)
    panels = {"cpu": "CPU of the proxy per transaction, µs", "tps": "transactions per second"}
    for index, (key, unit) in enumerate(panels.items()):
        left = MARGIN + index * (wide + MARGIN + 24)
        draw_lines(canvas, found, names, colours, key, unit, left, wide, height)
    return canvas.svg()


def draw_lines(canvas, found, names, colours, key, unit, left, width, height):
    """One panel; the x axis is logarithmic."""
    values = [result[key] for results in found.values() for result in results.values() if key in result]
    scale = Scale(max(values, default=0), TOP, height)
    scale.draw(canvas, left, width, unit)
    logs = {clients: math.log(clients) for clients in found}
    low, high = min(logs.values()), max(logs.values())
    share = lambda log: (log - low) / (high - low) if high > low else 0.5
    x = {clients: left + 12 + (width - 24) * share(log) for clients, log in logs.items()}
    for clients, place in x.items():
        canvas.line(place, scale.y(0), place, scale.y(0) + 5)
        canvas.text(place, scale.y(0) + 18, f"{clients:,}", size=11, anchor="middle")
    canvas.text(left + width / 2, scale.y(0) + 38, "clients (logarithmic)", anchor="middle")
    for name in names:
        having = [clients for clients in found if key in found[clients].get(name, {})]
        points = [(x[clients], scale.y(found[clients][name][key])) for clients in having]
        if points:
            canvas.path(points, colours[name])
