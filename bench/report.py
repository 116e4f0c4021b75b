"""Figures as text and as CSV, on the screen and in bench/results."""

import csv
import pathlib
import time

RESULTS = pathlib.Path(__file__).resolve().parent / "results"

COLUMNS = {
    "tps": "tps", "p50": "p50 ms", "p95": "p95 ms", "p99": "p99 ms", "p999": "p99.9 ms", "user": "user µs/t",
    "system": "sys µs/t", "cpu": "CPU µs/t", "calls": "calls/t", "switches": "waits/t", "memory": "MiB",
}
DECIMALS = {"tps": 0, "user": 1, "system": 1, "cpu": 1, "memory": 1}
REFERENCE = "pgbouncer"


def table(head, rows):
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        first, *others = row
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def figure(result, key, decimals=2):
    return f"{result[key]:.{decimals}f}" if key in result else "-"


def ratio(result, reference, key):
    return f"{result[key] / reference[key]:.2f}" if key in result and reference.get(key) else "-"


def named(name, result):
    return f"{name} ({result['remark']})" if result.get("remark") else name


def comparison(title, found, left_out):
    """Contestants in one workload, with ratios to PgBouncer where it took part."""
    reference = found.get(REFERENCE)
    head = [title, *COLUMNS.values()] + (["tps ratio", "CPU ratio"] if reference else [])
    rows = []
    for name, result in found.items():
        cells = [figure(result, key, DECIMALS.get(key, 2)) for key in COLUMNS]
        if reference:
            cells += [ratio(result, reference, key) for key in ("tps", "cpu")]
        rows.append([named(name, result), *cells])
    lines = [table(head, rows)]
    for name, result in found.items():
        if most := list(result.get("by_call", {}).items())[:6]:
            lines.append(f"  {name}: " + ", ".join(f"{call} {count:.2f}" for call, count in most))
    return "\n".join(lines + left_out.lines())


def row(part, case, clients, name, result):
    """One line of the CSV."""
    plain = {key: value for key, value in result.items() if not isinstance(value, dict)}
    by_call = {f"calls_{call}": count for call, count in result.get("by_call", {}).items()}
    return {"part": part, "case": case, "clients": clients, "contestant": name, **plain, **by_call}


def rows(part, case, clients, found):
    return [row(part, case, clients, name, result) for name, result in found.items()]


def save(path, lines):
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for line in lines:
            writer.writerow({name: f"{value:.3f}" if isinstance(value, float) else value for name, value in line.items()})


class Report:
    """What is said and kept; results are written when a part is done, so that a later one cannot lose them."""

    def __init__(self):
        RESULTS.mkdir(exist_ok=True)
        self.path = RESULTS / time.strftime("%Y-%m-%d-%H%M%S")
        self.texts, self.lines = [], []

    def say(self, text):
        print(text + "\n", flush=True)
        self.texts.append(text)
        self.path.with_suffix(".txt").write_text("\n\n".join(self.texts) + "\n")

    def keep(self, lines):
        self.lines += lines
        save(self.path.with_suffix(".csv"), self.lines)

    def draw(self, suffix, svg):
        self.path.with_name(self.path.name + suffix + ".svg").write_text(svg)
