#!/usr/bin/env python3
"""What a hop costs: PostgreSQL directly, Tidegate, and PgBouncer under pgbench, on a throwaway cluster.

Contestants take turns within each round, so that a slow minute of the machine hits all of them; figures are medians
over the rounds. Throughput on few cores says as much about pgbench and PostgreSQL as about the proxy: the steadiest
figure is the proxy's own CPU time per transaction.
"""

import argparse
import asyncio
import contextlib
import csv
import os
import pathlib
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from cluster import DATABASE, ENVIRONMENT, USER, Cluster
from contestants import contestants
from idle import memory_per_client
from processes import program

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
MEASUREMENTS = ("offload", "reopen", "strong")  # of freshness.py
WORKLOADS = {
    "select-simple": ["-S", "-M", "simple"],
    "select-extended": ["-S", "-M", "extended"],
    "select-prepared": ["-S", "-M", "prepared"],
    "tpcb-prepared": ["-M", "prepared"],
}
COLUMNS = {
    "tps": "tps", "average": "avg ms", "p50": "p50 ms", "p99": "p99 ms", "user": "user µs/t", "system": "sys µs/t",
    "switches": "switches/t", "rss": "RSS MiB",
}
DECIMALS = {"tps": 0, "rss": 1}


def arguments(description):
    """Of run.py and freshness.py, so that one command line does for both."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="COMMAND may hold {url} (all nodes), {listen}, {port}, {primary} (host:port) and {primary_port}.",
    )
    parser.add_argument("--seconds", type=int, default=5, help="of one run (5)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant in each workload (3)")
    parser.add_argument("--clients", type=int, default=16, help="of pgbench (16)")
    parser.add_argument("--threads", type=int, default=2, help="of pgbench (2)")
    parser.add_argument("--scale", type=int, default=10, help="of pgbench's tables (10)")
    parser.add_argument("--only", default="", help="these workloads and contestants, by name, separated by commas")
    parser.add_argument("--contestant", action="append", default=[], metavar="NAME=COMMAND", help="one more proxy")
    parser.add_argument("--relay", metavar="COMMAND", help="a plain TCP relay to compare with")
    parser.add_argument("--strace", action="store_true", help="also count system calls per transaction")
    parser.add_argument("--idle", type=int, default=0, metavar="N", help="also measure memory per idle client")
    freshness = parser.add_argument_group("freshness.py")
    freshness.add_argument(
        "--freshness-seconds", type=float, default=0.7, help="of one run; four times as long for reopening (0.7)"
    )
    freshness.add_argument("--freshness-rounds", type=int, default=2, help="runs of each contestant (2)")
    freshness.add_argument("--rate", type=float, default=1500, help="statements per second when it is about offload (1500)")
    freshness.add_argument("--measure", default="", help=f"only these, separated by commas: {', '.join(MEASUREMENTS)}")
    options = parser.parse_args()
    options.measure = [name for name in options.measure.split(",") if name] or list(MEASUREMENTS)
    if unknown := set(options.measure) - set(MEASUREMENTS):
        parser.error(f"--measure: unknown {', '.join(sorted(unknown))}")
    return options


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def pgbench(cluster, port, workload, clients, threads, seconds, logged=True):
    """One run: transactions, tps, and latencies in ms (percentiles from a fifth of the transactions)."""
    with tempfile.TemporaryDirectory(dir=cluster.folder) as folder:
        command = [
            str(cluster.bin / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(port), "-U", USER,
            "-c", str(clients), "-j", str(min(threads, clients)), "-T", str(seconds), *WORKLOADS[workload],
        ]
        if logged:
            command += ["--log", "--sampling-rate=0.2"]
        done = subprocess.run([*command, DATABASE], env=ENVIRONMENT, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0 or "aborted" in done.stderr:
            raise RuntimeError(f"pgbench {workload} on port {port}:\n{done.stderr[-2000:]}")
        figure = lambda pattern: float(re.search(pattern, done.stdout).group(1))
        # the third field of pgbench's log is the latency in µs
        lines = (line for log in pathlib.Path(folder).iterdir() for line in log.open())
        latencies = sorted(int(line.split()[2]) / 1000 for line in lines) or [0.0]
    return {
        "transactions": figure(r"actually processed: (\d+)"),
        "tps": figure(r"tps = ([\d.]+) \(without"),
        "average": figure(r"latency average = ([\d.]+) ms"),
        "p50": percentile(latencies, 0.50),
        "p99": percentile(latencies, 0.99),
    }


def measure(cluster, running, workload, options):
    before = running.process.usage() if running.process else None
    result = pgbench(cluster, running.port, workload, options.clients, options.threads, options.seconds)
    if before:
        after = running.process.usage()
        for name in ("user", "system", "switches"):
            result[name] = (after[name] - before[name]) / result["transactions"]
        result["rss"] = after["rss"] / 2**20
    return result


def compare(cluster, workload, chosen, options):
    """Medians of every contestant in one workload, by contestant."""
    rounds = {contestant.name: [] for contestant in chosen}
    remarks = {}
    prepared = "prepared" in WORKLOADS[workload]
    with contextlib.ExitStack() as stack:
        started = []
        for contestant in chosen:
            running = stack.enter_context(contestant.running(cluster, prepared, options.clients))
            started.append((contestant.name, running))
            remarks[contestant.name] = running.remark
            pgbench(cluster, running.port, workload, options.clients, options.threads, 1, logged=False)
        for turn in range(options.rounds):
            shift = turn % len(started)
            for name, running in started[shift:] + started[:shift]:
                cluster.wait_for_replicas()
                result = measure(cluster, running, workload, options)
                rounds[name].append(result)
                print(f"  {workload} round {turn + 1} {name}: {result['tps']:.0f} tps", file=sys.stderr)
        calls = {name: syscalls(cluster, running, workload, options) for name, running in started if options.strace}
    medians = {}
    for name, results in rounds.items():
        medians[name] = {key: statistics.median(result[key] for result in results) for key in results[0]}
        medians[name]["remark"] = remarks[name]
        if calls.get(name):
            medians[name]["calls"] = calls[name]
    return medians


def syscalls(cluster, running, workload, options):
    """System calls per transaction and the most frequent ones, from a short run under strace."""
    if running.process is None:
        return None
    output = cluster.folder / f"strace-{running.port}-{workload}"
    command = ["strace", "-f", "-c", "-U", "calls,name", "-o", str(output), "-p", str(running.process.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        tracer.stderr.readline()  # "attached"
        result = pgbench(cluster, running.port, workload, options.clients, options.threads, 2, logged=False)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    counts = re.findall(r"^\s*(\d+)\s+(\w+)$", output.read_text(), re.MULTILINE)
    per = {name: int(calls) / result["transactions"] for calls, name in counts if name != "total"}
    most = sorted(per.items(), key=lambda item: -item[1])[:5]
    return sum(per.values()), ", ".join(f"{name} {calls:.2f}" for name, calls in most)


def table(head, rows):
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if ours is not None and theirs else "-"


def cpu(result):
    return result["user"] + result["system"] if "user" in result else None


def show(workload, medians):
    """One workload as text, with ratios to PgBouncer where it took part."""
    reference = medians.get("pgbouncer")
    head = [workload, *COLUMNS.values()] + (["tps ratio", "CPU ratio"] if reference else [])
    rows = []
    for name, result in medians.items():
        cells = [f"{result[key]:.{DECIMALS.get(key, 2)}f}" if key in result else "-" for key in COLUMNS]
        if reference:
            cells += [ratio(result["tps"], reference["tps"]), ratio(cpu(result), cpu(reference))]
        rows.append([f"{name} ({result['remark']})" if result["remark"] else name, *cells])
    text = table(head, rows)
    for name, result in medians.items():
        if "calls" in result:
            total, most = result["calls"]
            text += f"\n  {name}: {total:.2f} system calls per transaction ({most})"
    return text


def save(path, everything):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["workload", "contestant", "remark", *COLUMNS, "calls"])
        for workload, medians in everything.items():
            for name, result in medians.items():
                figures = [f"{result[key]:.3f}" if key in result else "" for key in COLUMNS]
                calls = f"{result['calls'][0]:.3f}" if "calls" in result else ""
                writer.writerow([workload, name, result["remark"], *figures, calls])


def idle_memory(cluster, chosen, clients):
    rows = []
    for contestant in chosen:
        with contestant.running(cluster, False, clients) as running:
            if running.process:
                added = asyncio.run(memory_per_client(running, clients))
                rows.append([contestant.name, f"{added / 1024:.1f}"])
    return table([f"{clients} idle clients", "KiB each"], rows)


def main():
    options = arguments(__doc__)
    only = {name for name in options.only.split(",") if name}
    chosen = contestants(options)
    unknown = only - set(WORKLOADS) - {contestant.name for contestant in chosen}
    if unknown:
        raise SystemExit(f"--only: unknown {', '.join(sorted(unknown))}")
    if options.strace and not program("strace"):
        raise SystemExit("--strace: strace is not installed")
    workloads = [name for name in WORKLOADS if name in only] or list(WORKLOADS)
    chosen = [contestant for contestant in chosen if contestant.name in only] or chosen
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends everything, as Ctrl-C does

    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        os.chmod(folder, 0o755)
        with Cluster(pathlib.Path(folder)) as cluster:
            report(cluster, chosen, workloads, options)


def report(cluster, chosen, workloads, options):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y-%m-%d-%H%M%S")
    port = str(cluster.ports[0])
    command = ["pgbench", "-h", "127.0.0.1", "-p", port, "-U", USER, "-i", "-q", "-s", str(options.scale), DATABASE]
    subprocess.run([str(cluster.bin / command[0]), *command[1:]], env=ENVIRONMENT, check=True, capture_output=True)
    cluster.wait_for_replicas()
    texts = []

    def say(text):
        print(text + "\n", flush=True)
        texts.append(text)

    server = cluster.query("SHOW server_version")
    say(
        f"PostgreSQL {server}, {os.cpu_count()} cores, Linux {platform.release()}; {options.clients} clients, "
        f"{options.threads} pgbench threads, scale {options.scale}; medians of {options.rounds} × {options.seconds} s"
    )
    everything = {}
    for workload in workloads:
        everything[workload] = compare(cluster, workload, chosen, options)
        say(show(workload, everything[workload]))
    if options.idle:
        say(idle_memory(cluster, chosen, options.idle))
    save(path.with_suffix(".csv"), everything)
    path.with_suffix(".txt").write_text("\n\n".join(texts) + "\n")
    print(f"kept in {path}.txt and .csv")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        sys.exit(str(error))
