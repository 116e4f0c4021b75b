#!/usr/bin/env python3
"""What freshness costs and gains, on a throwaway cluster with natural replication on loopback:

offload   the share of reads that replicas serve, and how many of these are stale; beside fixed windows after a write
reopen    how long after a write a replica serves its table again, and what the monitor costs meanwhile
strong    what level strong adds to a read's latency

Contestants take turns within each round; figures are medians over the rounds, counts of stale reads are sums. The load
is moderate, so that the machine is not what is measured. bench/load makes it.
"""

import json
import os
import pathlib
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from cluster import DATABASE, PASSWORD, USER, Cluster, answers
from contestants import POOL, ROOT
from options import arguments
from processes import Process, free_port
from report import RESULTS, save, table

TIDEGATE = ROOT / "target/release/tidegate"
LOAD = ROOT / "target/bench-load/release/tidegate-bench-load"

WRITE_SHARES = (1, 10, 50)
TABLES = (1, 20)
# Tidegate's session settings, or a router with a fixed window that the load generator plays
ROUTERS = {
    "tidegate": {},
    "tidegate, wait(5ms)": {"tidegate.on_stale": "wait(5ms)"},
    "tidegate, level primary": {"tidegate.consistency": "primary"},
    "window of 1 s per session": ("session", 1000),
    "window of 2 s per session": ("session", 2000),
    "window of 1 s per database": ("database", 1000),  # one of 2 s can only serve less
}
# other writers, and their statements per second in all (0: as fast as they can)
HAMMERS = ((0, 0), (1, 0), (8, 800), (8, 0))
READERS = (1, 8, 32)
WRITES_BESIDE = (0, 200)  # per second at most: the writer pauses for 5 ms on average
LEVELS = ("primary", "session", "strong")
THINK = 10  # ms between two reads of one reader


class Proxy:
    """Tidegate with its defaults, its metrics, and the CPU of its main thread, where the monitor lives."""

    def __init__(self, cluster):
        self.port, self.admin = free_port(), free_port()
        command = [
            str(TIDEGATE), "run", "--url", cluster.url(POOL), "--listen", f"127.0.0.1:{self.port}",
            "--admin", f"127.0.0.1:{self.admin}",
        ]
        self.process = Process("tidegate", command, cluster.folder / f"tidegate-{self.port}.log")
        self.primary = f"127.0.0.1:{cluster.ports[0]}"
        self.bin = cluster.bin

    def __enter__(self):
        try:
            self.process.wait_until(lambda: answers(self.bin, self.port))
        except BaseException:
            self.process.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.__exit__()

    def metrics(self, name):
        """Values of the counter `name`, by its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        lines = re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE)
        return {tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels))): float(value) for labels, value in lines}

    def questions(self):
        """Of the monitor so far, by node."""
        return {dict(labels)["node"]: value for labels, value in self.metrics("tidegate_monitor_questions_total").items()}

    def reads(self):
        """Reads so far, by where they went and why."""
        decisions = self.metrics("tidegate_decisions_total").items()
        found = {(dict(labels)["target"], dict(labels)["reason"]): count for labels, count in decisions}
        return {place: count for place, count in found.items() if place[1] != "write"}

    def cost(self):
        """Starts counting; what it returns tells questions per second and node, and the main thread's CPU in percent."""
        questions = self.questions()
        begun, (cpu, _) = time.monotonic(), self.process.thread_cpu()

        def ended():
            took, (now, _) = time.monotonic() - begun, self.process.thread_cpu()
            rates = {node: (count - questions[node]) / took for node, count in self.questions().items()}
            replicas = [rate for node, rate in rates.items() if node != self.primary]
            return {
                "asked_primary": rates[self.primary], "asked_replica": max(replicas),
                "questions_primary": rates[self.primary] * took, "cpu": 100 * (now - cpu) / took,
            }

        return ended


def dsn(port, settings=None):
    text = f"host=127.0.0.1 port={port} user={USER} password={PASSWORD} dbname={DATABASE}"
    given = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())
    return f"{text} options='{given}'" if given else text


def load(command, **parameters):
    """Runs the load generator; a list is a parameter that is given several times."""
    words = [str(LOAD), command]
    for name, value in parameters.items():
        words += [f"{name}={one}" for one in (value if isinstance(value, list) else [value])]
    # a session of its own: Ctrl-C reaches us first
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, errors = child.communicate(timeout=float(parameters["seconds"]) + 90)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode != 0:
        raise RuntimeError(f"load {command}: {errors.strip()}")
    return json.loads(out)


def rounds(cluster, names, run, count, shown):
    """Results of `run(name)` by name; every round begins with another one."""
    results = {name: [] for name in names}
    names = list(names)
    for turn in range(count):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            cluster.wait_for_replicas()
            results[name].append(run(name))
        print(f"  {shown}: round {turn + 1}", file=sys.stderr)
    return results


def medians(results):
    """Medians of figures, but sums of what must not happen at all."""
    found = {key: statistics.median(result[key] for result in results) for key in results[0] if key != "places"}
    for key in ("stale", "reads", "count"):
        if key in found:
            found[key] = sum(result[key] for result in results)
    found["why"] = why_on_primary([result.get("places", {}) for result in results])
    return found


def why_on_primary(counts):
    """The reasons for which the primary served reads, in percent of all reads, the most frequent first."""
    every = sum(count for places in counts for count in places.values())
    reasons = {}
    for places in counts:
        for (target, reason), count in places.items():
            if target == "primary" and count:
                reasons[reason] = reasons.get(reason, 0) + count
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {100 * count / every:.1f}" for reason, count in ordered)


def prepare(cluster):
    tables = [f"offload_{i}" for i in range(max(TABLES))] + [f"hammer_{i}" for i in range(8)] + ["probe", "readers"]
    for name in tables:
        cluster.query(
            f"CREATE TABLE {name} (id int PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 50); "
            f"INSERT INTO {name} SELECT i, 0 FROM generate_series(0, 15) i"
        )
    cluster.wait_for_replicas()


def measure_offload(cluster, proxy, options):
    """Where reads are served at different shares of writes; rows and a text."""
    rows, texts, nodes = [], [], [dsn(port) for port in cluster.ports]
    for tables in TABLES:
        for writes in WRITE_SHARES:
            def run(name):
                common = {"tables": tables, "writes": writes, "rate": options.rate, "seconds": options.freshness_seconds}
                router = ROUTERS[name]
                if isinstance(router, tuple):
                    window, ms = router
                    return load("offload", primary=nodes[0], replica=nodes[1:], window=window, window_ms=ms, **common)
                before = proxy.reads()
                result = load("offload", proxy=dsn(proxy.port, router), **common)
                return {**result, "places": {place: count - before.get(place, 0) for place, count in proxy.reads().items()}}

            shown = f"offload, {writes} % writes, {tables} table{'s' * (tables > 1)}"
            found = {name: medians(results) for name, results in
                     rounds(cluster, ROUTERS, run, options.freshness_rounds, shown).items()}
            base = found["tidegate, level primary"]
            cells = []
            for name, result in found.items():
                cells.append([
                    name, f"{result['share']:.1f}", f"{result['stale']:.0f}", f"{result['reads']:.0f}",
                    *[f"{result[key]:.2f}" for key in ("p50", "p99")],
                    *[f"{result[key] - base[key]:+.2f}" for key in ("p50", "p99")],
                    f"{result['rate']:.0f}", result["why"],
                ])
                rows.append({"measurement": "offload", "case": shown, "contestant": name, **result})
            head = [shown, "% on replicas", "stale", "of reads", "p50 ms", "p99 ms", "added p50", "added p99",
                    "statements/s", "on the primary because, in %"]
            texts.append(table(head, cells))
    return rows, "\n\n".join(texts)


def measure_reopen(cluster, proxy, options):
    """How soon replicas are back after a write, and what asking costs."""
    seconds = 4 * options.freshness_seconds

    def run(hammer):
        writers, rate = hammer
        ended = proxy.cost()
        result = load("reopen", proxy=dsn(proxy.port), writers=writers, rate=rate, seconds=seconds)
        return {**result, **ended()}

    found = {hammer: medians(results) for hammer, results in
             rounds(cluster, HAMMERS, run, options.freshness_rounds, "reopen").items()}
    time.sleep(1)
    ended = proxy.cost()
    time.sleep(seconds)
    idle = ended()
    head = ["other writers", "their writes/s", "reopenings", "p50 ms", "p90 ms", "p99 ms", "max ms", "% <= 3 ms", "stale",
            "round trip p50", "p99", "questions/s primary", "replica", "monitor CPU %"]
    cells, rows = [], []
    for (writers, rate), result in found.items():
        name = f"{writers}" + (" at full speed" if writers and not rate else "")
        cells.append([
            name, f"{result['writes_per_second']:.0f}", f"{result['count']:.0f}",
            *[f"{result[key]:.2f}" for key in ("p50", "p90", "p99", "max")], f"{result['within_3']:.0f}",
            f"{result['stale']:.0f}", f"{result['trip_p50']:.2f}", f"{result['trip_p99']:.2f}",
            *[f"{result[key]:.0f}" for key in ("asked_primary", "asked_replica")], f"{result['cpu']:.2f}",
        ])
        rows.append({"measurement": "reopen", "case": name, "contestant": "tidegate", **result})
    asked = [f"{idle[key]:.1f}" for key in ("asked_primary", "asked_replica")]
    cells.append(["nothing at all", *["-"] * 10, *asked, f"{idle['cpu']:.2f}"])
    rows.append({"measurement": "reopen", "case": "idle", "contestant": "tidegate", **idle})
    return rows, table(head, cells)


def measure_strong(cluster, proxy, options):
    """What level strong adds to a read."""
    texts, rows = [], []
    for writes in WRITES_BESIDE:
        for readers in READERS:
            def run(level):
                ended = proxy.cost()
                result = load(
                    "readers", proxy=dsn(proxy.port, {"tidegate.consistency": level}), readers=readers,
                    writes_per_second=writes, think_ms=THINK, seconds=options.freshness_seconds,
                )
                cost = ended()
                return {**result, "samples": cost["questions_primary"] / max(result["reads"], 1), "cpu": cost["cpu"]}

            shown = f"{readers} reader{'s' * (readers > 1)}, " + ("a writer" if writes else "no writer")
            found = {level: medians(results) for level, results in
                     rounds(cluster, LEVELS, run, options.freshness_rounds, f"strong, {shown}").items()}
            primary, session = found["primary"], found["session"]
            cells = []
            for level, result in found.items():
                cells.append([
                    level, f"{result['p50']:.2f}", f"{result['p99']:.2f}",
                    *[f"{result[key] - base[key]:+.2f}" for base in (primary, session) for key in ("p50", "p99")],
                    f"{result['share']:.1f}", f"{result['stale']:.0f}", f"{result['samples']:.2f}",
                    f"{result['rate']:.0f}", f"{result['writes_per_second']:.0f}", f"{result['cpu']:.1f}",
                ])
                rows.append({"measurement": "strong", "case": shown, "contestant": level, **result})
            head = [shown, "p50 ms", "p99 ms", "to primary: p50", "p99", "to session: p50", "p99", "% on replicas", "stale",
                    "primary asked/read", "reads/s", "writes/s", "monitor CPU %"]
            texts.append(table(head, cells))
    return rows, "\n\n".join(texts)


def report(cluster, options):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y-%m-%d-%H%M%S-freshness")
    texts, rows = [], []

    def say(text):
        print(text + "\n", flush=True)
        texts.append(text)

    prepare(cluster)
    with Proxy(cluster) as proxy:
        _, threads = proxy.process.thread_cpu()
        say(
            f"PostgreSQL {cluster.query('SHOW server_version')}, {os.cpu_count()} cores, Linux {platform.release()}; "
            f"{options.freshness_rounds} rounds of {options.freshness_seconds:g} s (reopening: "
            f"{4 * options.freshness_seconds:g} s); offload at {options.rate:g} statements/s by 16 actors; threads {', '.join(threads)}"
        )
        for name in options.measure:
            found, text = globals()[f"measure_{name}"](cluster, proxy, options)
            rows += found
            say(text)
    save(path.with_suffix(".csv"), rows)
    path.with_suffix(".txt").write_text("\n\n".join(texts) + "\n")
    print(f"kept in {path}.txt and .csv")


def main():
    options = arguments(__doc__)
    for program in (TIDEGATE, LOAD):
        if not program.exists():
            raise SystemExit(f"{program.relative_to(ROOT)} is not built: make bench-freshness does")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends everything, as Ctrl-C does
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        os.chmod(folder, 0o755)
        with Cluster(pathlib.Path(folder)) as cluster:
            report(cluster, options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        sys.exit(str(error))
